package dev.kindling.tensor.cpu;

import dev.kindling.tensor.Tensor;
import java.nio.ShortBuffer;

/**
 * Mutable: adds changes to BF16 weights whose last bits are larger than they. Rounded to nearest, w
 * + d would be w again wherever |d| is less than half a unit in the last place, 2⁻⁹ to 2⁻⁸ of |w|,
 * and what was just learnt would be lost (RunLoRA's plans that merge, in bf16).
 *
 * <p>So the sum, in F32, is rounded up with a probability of as much as is cut off: some 16 bits u
 * are added below the last place before the lower half goes. Over a row of c = 0, 1, … u runs
 * through the fractions of s + c·φ, φ the golden ratio, which fill [0, 1) more evenly than random
 * numbers do; s depends on the row. The mean error of a row is next to none, one element's less
 * than a unit in the last place, and the same sum is always rounded alike. Where d is zero, w stays
 * as it is, for its lower half is empty.
 *
 * <p>A deviation from RunLoRA (arXiv:2312.03415), which rounds to nearest.
 */
public final class Dither {
  /** 2³² / φ, odd. */
  private static final int GOLDEN = 0x9E3779B9;

  private final Workers workers;
  private final short[][] weights;
  private final short[][] sums;

  /**
   * @param workers whose threads run it
   */
  public Dither(Workers workers) {
    this.workers = workers;
    this.weights = new short[workers.count()][0];
    this.sums = new short[workers.count()][0];
  }

  /**
   * Each element of {@code changes} becomes its sum with that of w.
   *
   * @param w [rows, columns], BF16
   * @param changes of the same shape, BF16
   */
  public void add(Tensor w, Tensor changes) {
    int columns = w.columns();
    ShortBuffer from = CpuMemory.halves(w);
    ShortBuffer to = CpuMemory.halves(changes);
    workers.eachRow(
        w.rows(),
        (worker, row) -> {
          if (sums[worker].length < columns) {
            weights[worker] = new short[columns];
            sums[worker] = new short[columns];
          }
          from.get(row * columns, weights[worker], 0, columns);
          to.get(row * columns, sums[worker], 0, columns);
          add(weights[worker], sums[worker], columns, start(row));
          to.put(row * columns, sums[worker], 0, columns);
        });
  }

  private static void add(short[] w, short[] changes, int columns, int start) {
    for (int c = 0; c < columns; c++) {
      float sum = Float.intBitsToFloat(w[c] << 16) + Float.intBitsToFloat(changes[c] << 16);
      int below = (start + c * GOLDEN) >>> 16;
      changes[c] = (short) ((Float.floatToRawIntBits(sum) + below) >>> 16);
    }
  }

  /** Where a row begins: the finalizer of MurmurHash3. */
  private static int start(int row) {
    int h = (row + 1) * GOLDEN;
    h = (h ^ (h >>> 16)) * 0x85EBCA6B;
    h = (h ^ (h >>> 13)) * 0xC2B2AE35;
    return h ^ (h >>> 16);
  }
}
