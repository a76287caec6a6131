"""Softmax regression on the pixels: what can be told about an image without local structure."""
import numpy


def accuracy(train, test, classes, epochs=20, rate=1e-3, seed=0):
    """The best test accuracy over the epochs of Adam; train and test are (images, labels)."""
    (x, y), (x_test, y_test) = [
        ((images.reshape(len(images), -1).astype(numpy.float32) / 255 - 0.5) / 0.5, labels)
        for images, labels in (train, test)]
    mean = x.mean(0)
    x, x_test = x - mean, x_test - mean
    random = numpy.random.default_rng(seed)
    weights = [numpy.zeros((x.shape[1], classes), numpy.float32), numpy.zeros(classes, numpy.float32)]
    first = [numpy.zeros_like(w) for w in weights]
    second = [numpy.zeros_like(w) for w in weights]
    best, best_train, step = 0.0, 0.0, 0
    for _ in range(epochs):
        for batch in numpy.array_split(random.permutation(len(x)), max(1, len(x) // 100)):
            logits = x[batch] @ weights[0] + weights[1]
            share = numpy.exp(logits - logits.max(1, keepdims=True))
            share /= share.sum(1, keepdims=True)
            share[numpy.arange(len(batch)), y[batch]] -= 1
            share /= len(batch)
            step += 1
            for w, m, v, g in zip(weights, first, second, (x[batch].T @ share, share.sum(0))):
                m += 0.1 * (g - m)
                v += 0.001 * (g * g - v)
                w -= rate * (m / (1 - 0.9**step)) / (numpy.sqrt(v / (1 - 0.999**step)) + 1e-8)
        def score(a, b):
            return float(((a @ weights[0] + weights[1]).argmax(1) == b).mean())
        best = max(best, score(x_test, y_test))
        best_train = max(best_train, score(x, y))
    return best, best_train
