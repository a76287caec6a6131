"""TAP, the one way in which these tests print it."""


class Tap:
    """A test's cases; done() prints the plan and gives the exit status."""

    def __init__(self):
        self.cases = self.failures = 0

    def check(self, name, good, why=""):
        self.cases += 1
        self.failures += not good
        lines = [] if good else str(why).splitlines()
        print("\n# ".join([f"{'ok' if good else 'not ok'} {self.cases} - {name}", *lines]), flush=True)

    def skip(self, name, why):
        self.cases += 1
        print(f"ok {self.cases} - {name} # SKIP {why}")

    def done(self):
        print(f"1..{self.cases}")
        return self.failures != 0
