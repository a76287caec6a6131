"""ReFrame's configuration of the two-node test cluster (slurm/cluster.sh): an example for a site's own."""
site_configuration = {
    "systems": [
        {
            "name": "lockstep-test",
            "descr": "two nodes on one machine",
            "hostnames": [".*"],
            "partitions": [
                {
                    "name": "nodes",
                    "descr": "both of them",
                    "scheduler": "squeue",  # sacct needs a data base, which the test cluster has not
                    "launcher": "local",
                    "environs": ["builtin"],
                    "max_jobs": 1,
                }
            ],
        }
    ],
    "environments": [{"name": "builtin"}],
    "logging": [
        {
            "handlers": [{"type": "stream", "name": "stdout", "level": "info", "format": "%(message)s"}],
            "handlers_perflog": [
                {
                    "type": "filelog",
                    "prefix": "%(check_system)s/%(check_partition)s",
                    "level": "info",
                    "format": "%(check_result)s,%(check_info)s,%(check_perfvalues)s",
                    "append": True,
                }
            ],
        }
    ],
}
