package dev.kindling.job.broadcast;

import java.util.Locale;

/**
 * What a GPU has for tensors.
 *
 * @param bytes of the smallest one; 0 if its driver did not say
 */
public record GpuBudget(long bytes) {
  /** Bytes: the driver's context, kernels, graphs, cuBLAS and its workspace; an estimate. */
  private static final long CONTEXT = 1L << 30;

  /**
   * Bytes: what copies of three operands take, at most as a rule, whose rows begin at odd places.
   */
  private static final long COPIES = 3 * (256L << 20);

  /** Bytes that no plan has. */
  static final long BESIDE = CONTEXT + COPIES;

  /**
   * Checks a plan, of which each task has a device to itself: the base with one task's tensors.
   *
   * @throws DoesNotFit if it needs more
   */
  public void require(MemoryPlan plan) {
    long base = plan.base() + plan.packs();
    long task = (plan.total() - base) / plan.tasks();
    long needed = base + task + BESIDE;
    if (bytes == 0 || needed <= bytes) {
      return;
    }
    throw new DoesNotFit(
        String.format(
            Locale.ROOT,
            "a GPU needs %,d MiB: base %,d, activations %,d and scratch %,d of %,d × %,d tokens,"
                + " adapters %,d, CUDA's own %,d; the smallest one has %,d. Smaller:"
                + " train.micro-batch-size, data.max-length; train.recompute = block;"
                + " train.precision = bf16; or GPUs with more",
            needed >> 20,
            base >> 20,
            (plan.activations() / plan.tasks()) >> 20,
            (plan.scratch() / plan.tasks()) >> 20,
            plan.rows(),
            plan.tokens(),
            (plan.adapters() / plan.tasks()) >> 20,
            BESIDE >> 20,
            bytes >> 20));
  }
}
