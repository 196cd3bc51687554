package dev.kindling.tensor.load;

import dev.kindling.tensor.onednn.InstructionSet;
import java.util.Locale;

/** The backends, by what they compute with. */
public enum Engine {
  ONEDNN(false),
  ND4J(false),
  /** CUDA 13 through our own kernels and cublasLt. */
  CUDA(true),
  /** ND4J on CUDA 11.6, for GPUs up to Ampere and Ada. */
  ND4J_CUDA(true);

  private final boolean gpu;

  Engine(boolean gpu) {
    this.gpu = gpu;
  }

  /** Whether it computes on GPUs. */
  public boolean gpu() {
    return gpu;
  }

  /** As {@code compute.backend} spells it. */
  public String spelled() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /** oneDNN where its native library is to be had, else ND4J. A GPU is never chosen unasked. */
  public static Engine best() {
    return InstructionSet.available() ? ONEDNN : ND4J;
  }
}
