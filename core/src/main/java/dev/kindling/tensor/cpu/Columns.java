package dev.kindling.tensor.cpu;

import dev.kindling.tensor.Tensor;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Mutable: what is done with the columns of a matrix, row by row: to scale them, to sum products of
 * them, and the lengths of a weight's rows, which are its outputs' columns.
 */
final class Columns {
  private final Workers workers;
  private final Lines lines;
  private double[] sums = new double[0];

  Columns(Workers workers, Lines lines) {
    this.workers = workers;
    this.lines = lines;
  }

  /** squares [rows] of w [rows, d], which may be larger than a buffer. */
  void squares(Tensor w, Tensor squares) {
    int d = w.columns();
    FloatBuffer into = CpuMemory.floats(squares);
    workers.eachRow(
        w.rows(),
        (worker, row) -> {
          float[] line = lines.first(worker, d);
          Elements.of(w.slice((long) row * d, d)).get(0, line, d);
          double sum = 0;
          for (int c = 0; c < d; c++) {
            sum += (double) line[c] * line[c];
          }
          into.put(row, (float) sum);
        });
  }

  /** out = x at the chosen columns. */
  void gather(Tensor x, IntBuffer chosen, Tensor out) {
    int d = x.columns();
    int k = out.columns();
    Elements from = Elements.of(x);
    Elements to = Elements.of(out);
    workers.eachRow(
        x.rows(),
        (worker, row) -> {
          float[] line = lines.first(worker, d);
          float[] some = lines.second(worker, k);
          from.get(row * d, line, d);
          for (int j = 0; j < k; j++) {
            some[j] = line[chosen.get(j)];
          }
          to.put(row * k, some, 0, k);
        });
  }

  /** Of the rows of w + scale·b·a: squares [out], projected [r, out], b and bGram [out, r]. */
  void lengths(
      Tensor squares, Tensor projected, Tensor b, Tensor bGram, double scale, Tensor lengths) {
    FloatBuffer base = CpuMemory.floats(squares);
    FloatBuffer across = CpuMemory.floats(projected);
    Elements up = Elements.of(b);
    FloatBuffer own = CpuMemory.floats(bGram);
    FloatBuffer into = CpuMemory.floats(lengths);
    int out = b.rows();
    int r = b.columns();
    workers.eachRow(
        out,
        (worker, row) -> {
          double sum = base.get(row);
          for (int k = 0; k < r; k++) {
            double both = 2 * across.get(k * out + row) + scale * own.get(row * r + k);
            sum += scale * up.get(row * r + k) * both;
          }
          into.put(row, (float) Math.max(Float.MIN_NORMAL, Math.sqrt(Math.max(0, sum))));
        });
  }

  /** y = x·by/over + bias on each row. */
  void scale(Tensor x, Tensor by, Tensor over, @Nullable Tensor bias, Tensor y) {
    int d = x.columns();
    float[] factors = lines.factors(d);
    for (int c = 0; c < d; c++) {
      factors[c] = CpuMemory.floats(by).get(c) / CpuMemory.floats(over).get(c);
    }
    Elements from = Elements.of(x);
    Elements to = Elements.of(y);
    FloatBuffer added = bias == null ? null : CpuMemory.floats(bias);
    workers.eachRow(
        x.rows(),
        (worker, row) -> {
          float[] line = lines.first(worker, d);
          from.get(row * d, line, d);
          for (int c = 0; c < d; c++) {
            line[c] = line[c] * factors[c] + (added == null ? 0 : added.get(c));
          }
          to.put(row * d, line, 0, d);
        });
  }

  /** into = Σ over rows of a∘b / over, in double, in the rows' order. */
  void dots(Tensor a, Tensor b, Tensor over, Tensor into, boolean accumulate) {
    int d = a.columns();
    if (sums.length < d) {
      sums = new double[d];
    }
    Arrays.fill(sums, 0, d, 0);
    Elements left = Elements.of(a);
    Elements right = Elements.of(b);
    float[] first = lines.first(0, d);
    float[] second = lines.second(0, d);
    for (int row = 0; row < a.rows(); row++) {
      left.get(row * d, first, d);
      right.get(row * d, second, d);
      for (int c = 0; c < d; c++) {
        sums[c] += (double) first[c] * second[c];
      }
    }
    FloatBuffer to = CpuMemory.floats(into);
    FloatBuffer divisors = CpuMemory.floats(over);
    for (int c = 0; c < d; c++) {
      to.put(c, (float) (sums[c] / divisors.get(c) + (accumulate ? to.get(c) : 0)));
    }
  }
}
