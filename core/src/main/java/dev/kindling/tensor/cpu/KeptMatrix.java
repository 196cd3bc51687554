package dev.kindling.tensor.cpu;

import dev.kindling.tensor.DType;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.Tensor;

/**
 * A matrix as it was loaded. Where products are made in another type it is converted for each of
 * them, by blocks of rows into a few megabytes that stay in the cache.
 *
 * @param w [out, in]
 * @param active what products are made in
 */
public record KeptMatrix(Tensor w, DType active) implements FrozenMatrix {
  /** Elements of one converted block: 4 MiB of F32. At 512 tokens widening costs about a tenth. */
  private static final long BLOCK = 1 << 20;

  @Override
  public int out() {
    return w.rows();
  }

  @Override
  public int in() {
    return w.columns();
  }

  @Override
  public long bytes() {
    return w.elements() * w.type().bytes();
  }

  @Override
  public long scratchBytes() {
    return direct() ? 0 : blockElements() * active.bytes();
  }

  /** Whether products read it as it is. */
  public boolean direct() {
    return w.type() == active;
  }

  /** Rows that are converted at once. */
  public int blockRows() {
    return (int) Math.max(1, Math.min(out(), BLOCK / in()));
  }

  /** Elements of a whole block. */
  public long blockElements() {
    return (long) blockRows() * in();
  }

  /** Rows {@code from …} as they are kept. */
  public Tensor part(int from, int rows) {
    return w.slice((long) from * in(), rows, in());
  }
}
