package dev.kindling.tensor.cpu;

import dev.kindling.tensor.Tensor;
import java.nio.FloatBuffer;
import java.nio.ShortBuffer;

/**
 * Mutable: BF16 as F32, row by row. oneDNN copies between the two by vectors where the CPU has
 * AVX-512; elsewhere it has its reference code for it, of which a product with a matrix that is
 * kept in half width would mostly consist.
 */
public final class Widening {
  private final Workers workers;
  private final short[][] words;
  private final float[][] values;

  /**
   * @param workers whose threads run it
   */
  public Widening(Workers workers) {
    this.workers = workers;
    this.words = new short[workers.count()][0];
    this.values = new float[workers.count()][0];
  }

  /**
   * to = from.
   *
   * @param from [rows, columns], BF16
   * @param to as many elements, F32
   */
  public void widen(Tensor from, Tensor to) {
    int columns = from.columns();
    ShortBuffer source = CpuMemory.halves(from);
    FloatBuffer target = CpuMemory.floats(to);
    workers.eachRow(
        from.rows(),
        (worker, row) -> {
          if (words[worker].length < columns) {
            words[worker] = new short[columns];
            values[worker] = new float[columns];
          }
          short[] in = words[worker];
          float[] out = values[worker];
          source.get(row * columns, in, 0, columns);
          for (int c = 0; c < columns; c++) {
            out[c] = Float.intBitsToFloat(in[c] << 16);
          }
          target.put(row * columns, out, 0, columns);
        });
  }
}
