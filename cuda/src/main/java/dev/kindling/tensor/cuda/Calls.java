package dev.kindling.tensor.cuda;

/** What CUDA's calls return: 0, or the number of an error. */
final class Calls {
  /** CUDA_ERROR_OUT_OF_MEMORY. */
  static final int OUT_OF_MEMORY = 2;

  private Calls() {}

  /** Of the driver; the numbers are in cuda.h, CUresult. */
  static void check(int code, String call) {
    if (code != 0) {
      throw new IllegalStateException(call + " failed: CUresult " + code);
    }
  }

  /** Of cuBLAS; the numbers are cublasStatus_t's. */
  static void checkBlas(int code, String call) {
    if (code != 0) {
      throw new IllegalStateException(call + " failed: cublasStatus_t " + code);
    }
  }

  /** Of the compiler; the numbers are nvrtcResult's. */
  static void checkNvrtc(int code, String call) {
    if (code != 0) {
      throw new IllegalStateException(call + " failed: nvrtcResult " + code);
    }
  }
}
