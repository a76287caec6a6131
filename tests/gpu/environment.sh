# shellcheck shell=sh
# Sourced with $bundle, the unpacked archive: its libraries first, CUDA's where this machine has
# them, and Open MPI and PMIx told where they now live. The folder is searched for CUDA once: who
# starts many programs exports LOCKSTEP_CUDA_LIBRARIES.
# shellcheck disable=SC2154 # bundle is the caller's
if [ -z "${LOCKSTEP_CUDA_LIBRARIES+set}" ]; then
    LOCKSTEP_CUDA_LIBRARIES=$(sh "$bundle/libexec/find-cuda.sh" "$bundle/etc/cuda-libraries") || exit 3
fi
case :${LD_LIBRARY_PATH:-}: in
*":$bundle/lib:"*) ;;
*) LD_LIBRARY_PATH=$bundle/lib${LOCKSTEP_CUDA_LIBRARIES:+:$LOCKSTEP_CUDA_LIBRARIES}${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} ;;
esac
export LOCKSTEP_CUDA_LIBRARIES LD_LIBRARY_PATH
export OPAL_PREFIX="$bundle" OPAL_BINDIR="$bundle/bin" OPAL_LIBDIR="$bundle/lib" \
    OPAL_PKGLIBDIR="$bundle/lib/openmpi" OPAL_PKGDATADIR="$bundle/share/openmpi" \
    OPAL_SYSCONFDIR="$bundle/etc"
export PMIX_PREFIX="$bundle" PMIX_LIBDIR="$bundle/lib" PMIX_PKGLIBDIR="$bundle/lib/pmix" \
    PMIX_PKGDATADIR="$bundle/share"
# PMIx asks for the user's folder, and crashes where neither HOME nor the password file tells it.
export HOME="${HOME:-/tmp}"
# hwloc's plug-ins are linked against the machine's own hwloc.
export HWLOC_PLUGINS_PATH="$bundle/lib/hwloc"
