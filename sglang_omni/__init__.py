import os
import platform


def _same_rounding_on_every_cpu() -> None:
    """MKL's products for CPUs that are not Intel's round a row by how many there are, unless it is told which code to
    take; it reads this at its first product. Answers are to be the same whatever company they have."""
    try:
        with open("/proc/cpuinfo") as file:
            vendor = next((line for line in file if line.startswith("vendor_id")), "")
    except OSError:
        return
    if platform.machine() == "x86_64" and "GenuineIntel" not in vendor:
        os.environ.setdefault("MKL_CBWR", "AVX2")


_same_rounding_on_every_cpu()
