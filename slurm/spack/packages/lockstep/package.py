# Spack's recipe of lockstep, for Spack 1.0 and its packages' repository of that time. No archive of
# lockstep is published: the sources are the git repository in which this file lies, branch main.
#
#   spack repo add slurm/spack
#   spack install lockstep +cuda cuda_arch=80        # without GPUs: lockstep
#
# or, in an environment, a folder as it is, without git:
#
#   spack develop --path "$PWD" lockstep@0.1.0
#   spack add lockstep@0.1.0 && spack install
#
# Open MPI and PMIx are to be those that the site's Slurm offers: declare them as externals
# (packages.yaml), or `srun --mpi=pmix` may not speak to them.
from pathlib import Path

from spack_repo.builtin.build_systems.cuda import CudaPackage
from spack_repo.builtin.build_systems.meson import MesonPackage

from spack.package import *


class Lockstep(MesonPackage, CudaPackage):
    """Trains image classifiers with data parallelism on a Slurm cluster, and measures what the
    parallelism bought."""

    git = f"file://{Path(__file__).resolve().parents[4]}"

    license("MIT")

    version("0.1.0", branch="main")

    variant("jpeg", default=True, description="Pack folders of JPEG files")
    variant("png", default=True, description="Take PNG files that are named as JPEGs")
    variant("tensorboard", default=True, description="Write event files for TensorBoard")
    variant("safetensors", default=True, description="Read weights of other programs")
    variant("s3", default=True, description="Upload checkpoints to S3")
    variant("plots", default=True, description="Draw the pictures of reports, by gnuplot")

    depends_on("c", type="build")
    depends_on("cxx", type="build", when="+cuda")
    depends_on("meson@1:", type="build")
    depends_on("ninja", type="build")
    depends_on("pkgconfig", type="build")

    depends_on("openmpi")
    depends_on("pmix")
    depends_on("hwloc")
    depends_on("hdf5")
    depends_on("onednn@2.6:2,3.1: cpu_runtime=omp")  # its threads are those of our loops
    depends_on("openssl")
    depends_on("isa-l")
    depends_on("libjpeg-turbo", when="+jpeg")
    depends_on("libpng", when="+png")
    depends_on("protobuf-c", when="+tensorboard")
    depends_on("jansson@2.10:", when="+safetensors")
    depends_on("curl@7.75:", when="+s3")
    depends_on("gnuplot", type="run", when="+plots")

    with when("+cuda"):
        depends_on("cuda@12:")
        depends_on("cudnn@9.8:")
        depends_on("nccl@2.18:")

    def meson_args(self):
        features = ("cuda", "jpeg", "png", "tensorboard", "safetensors", "s3")
        chosen = [f"-D{name}={'enabled' if f'+{name}' in self.spec else 'disabled'}" for name in features]
        return [*chosen, "-Dtests=false", "-Demulated=disabled"]
