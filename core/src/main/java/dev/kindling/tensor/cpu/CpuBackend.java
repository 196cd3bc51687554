package dev.kindling.tensor.cpu;

import static dev.kindling.tensor.cpu.CpuMemory.ints;
import static dev.kindling.tensor.cpu.CpuMemory.longs;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.Seeds;
import dev.kindling.tensor.Storage;
import dev.kindling.tensor.StoredType;
import dev.kindling.tensor.Tensor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.IntBuffer;
import java.nio.LongBuffer;
import java.nio.ShortBuffer;
import org.jspecify.annotations.Nullable;

/**
 * What all CPU backends do alike: memory, and the operations on single rows that cost too little to
 * matter. Real is F32.
 */
public abstract class CpuBackend implements Backend {
  static {
    CpuMemory.lifted();
  }

  private final Workers workers;
  private final Lines lines;
  private final Rotations rotations;
  private final Decoder decoder;
  private final Columns columns;

  /**
   * @param workers for loops over many rows; closed with the backend
   */
  protected CpuBackend(Workers workers) {
    this.workers = workers;
    this.lines = new Lines(workers);
    this.rotations = new Rotations(workers, lines);
    this.decoder = new Decoder(workers);
    this.columns = new Columns(workers, lines);
  }

  @Override
  public DType real() {
    return DType.F32;
  }

  @Override
  public long mostElements() {
    return CpuMemory.MOST_FLOATS;
  }

  @Override
  public Tensor allocate(DType type, long... shape) {
    return CpuMemory.allocate(type, shape);
  }

  @Override
  public void free(Tensor allocated) {
    CpuMemory.free(allocated);
  }

  @Override
  public void write(Tensor to, long at, float[] values, int from, int count) {
    Elements.of(to).put(Math.toIntExact(at), values, from, count);
  }

  @Override
  public void write(Tensor to, int[] values) {
    ints(to).put(0, values);
  }

  @Override
  public void write(Tensor to, long[] values) {
    longs(to).put(0, values);
  }

  @Override
  public void decode(Tensor to, long at, ByteBuffer stored, StoredType as) {
    ByteBuffer little = stored.slice().order(ByteOrder.LITTLE_ENDIAN);
    Tensor part = to.slice(at, little.remaining() / as.bytes()); // the whole may exceed a buffer
    if (to.type() == as.kept()) {
      if (as == StoredType.F32) {
        CpuMemory.floats(part).put(little.asFloatBuffer());
      } else {
        CpuMemory.halves(part).put(little.asShortBuffer());
      }
      return;
    }
    Elements target = Elements.of(part);
    if (as == StoredType.F32) {
      for (int i = 0; little.hasRemaining(); i++) {
        target.put(i, little.getFloat());
      }
      return;
    }
    ShortBuffer words = little.asShortBuffer();
    for (int i = 0; i < words.remaining(); i++) {
      target.put(i, as.widen(words.get(i)));
    }
  }

  @Override
  public void read(Tensor from, float[] into) {
    Elements.of(from).get(0, into, into.length);
  }

  @Override
  public void convert(Tensor from, Tensor to) {
    Elements source = Elements.of(from);
    Elements target = Elements.of(to);
    for (int i = 0, n = Math.toIntExact(to.elements()); i < n; i++) {
      target.put(i, source.get(i));
    }
  }

  @Override
  public void transpose(Tensor x, Tensor y) {
    Rows.transpose(Elements.of(x), Elements.of(y), x.rows(), x.columns());
  }

  @Override
  public FrozenMatrix freeze(Tensor w, FrozenMatrix.Use use) {
    return new KeptMatrix(w, active());
  }

  @Override
  public FrozenMatrix coded(Storage storage, boolean turned, int out, int in) {
    return new CodedMatrix(storage, turned, out, in, active());
  }

  @Override
  public void code(Tensor w, FrozenMatrix into) {
    ((CodedMatrix) into).code(w, workers);
  }

  /** For products with such matrices. */
  protected final Decoder decoder() {
    return decoder;
  }

  /** The matrix as it was loaded. */
  protected KeptMatrix kept(FrozenMatrix w) {
    return (KeptMatrix) w;
  }

  @Override
  public void change(
      FrozenMatrix w, Tensor left, Tensor right, boolean transposeRight, double scale) {
    if (w instanceof CodedMatrix) {
      throw new IllegalArgumentException("codes are too coarse to be changed");
    }
    Tensor all = kept(w).w();
    if (all.type() != real() || active() != real()) {
      throw new IllegalArgumentException(all + " is too coarse to be changed");
    }
    matmul(left, false, right, transposeRight, scale, 1, all);
  }

  @Override
  public void rowSquares(FrozenMatrix w, Tensor squares) {
    if (w instanceof CodedMatrix coded) {
      decoder.squares(coded, squares);
    } else {
      columns.squares(kept(w).w(), squares);
    }
  }

  @Override
  public void rowLengths(
      Tensor squares, Tensor projected, Tensor b, Tensor bGram, double scale, Tensor lengths) {
    columns.lengths(squares, projected, b, bGram, scale, lengths);
  }

  @Override
  public void scaleColumns(Tensor x, Tensor by, Tensor over, @Nullable Tensor bias, Tensor y) {
    columns.scale(x, by, over, bias, y);
  }

  @Override
  public void dotColumns(Tensor a, Tensor b, Tensor over, Tensor into, boolean accumulate) {
    columns.dots(a, b, over, into, accumulate);
  }

  @Override
  public void embed(Tensor ids, FrozenMatrix table, Tensor out, boolean accumulate) {
    int d = out.columns();
    if (table instanceof CodedMatrix coded && !accumulate) {
      for (int n = 0; n < out.rows(); n++) {
        decoder.decode(coded.row(ints(ids).get(n)), out.slice((long) n * d, 1, d));
      }
      return;
    }
    Tensor all = kept(table).w();
    boolean copies = !accumulate && all.type() == out.type();
    Elements to = Elements.of(out);
    IntBuffer rows = ints(ids);
    boolean whole = all.elements() <= CpuMemory.MOST_FLOATS;
    Elements start = Elements.of(whole ? all : all.slice(0, d));
    workers.eachRow(
        out.rows(),
        (worker, n) -> {
          int id = rows.get(n);
          Elements from = whole ? start : Elements.of(all.slice((long) id * d, d));
          int at = whole ? id * d : 0;
          if (copies) {
            to.copy(n * d, from, at, d);
            return;
          }
          float[] row = lines.first(worker, d);
          from.get(at, row, d);
          if (accumulate) {
            float[] before = lines.second(worker, d);
            to.get(n * d, before, d);
            for (int c = 0; c < d; c++) {
              row[c] += before[c];
            }
          }
          to.put(n * d, row, 0, d);
        });
  }

  @Override
  public void gatherRows(Tensor x, Tensor rows, Tensor out) {
    Rows.gather(ints(rows), Elements.of(x), Elements.of(out), out.rows(), out.columns());
  }

  @Override
  public void gatherRowsBackward(Tensor dy, Tensor rows, Tensor dx, boolean accumulate) {
    if (!accumulate) {
      zero(dx);
    }
    Rows.scatterAdd(ints(rows), Elements.of(dy), Elements.of(dx), dy.rows(), dy.columns());
  }

  @Override
  public void addBias(Tensor y, Tensor bias) {
    Rows.addToEach(Elements.of(y), Elements.of(bias), y.rows(), y.columns());
  }

  @Override
  public void addBiasBackward(Tensor dy, Tensor db, boolean accumulate) {
    Rows.sum(Elements.of(dy), Elements.of(db), dy.rows(), dy.columns(), accumulate);
  }

  @Override
  public void zero(Tensor x) {
    CpuMemory.zero(x);
  }

  @Override
  public void dropout(Tensor x, Tensor rowKeys, long layer, double rate, Tensor y) {
    Elements from = Elements.of(x);
    Elements to = Elements.of(y);
    LongBuffer keys = longs(rowKeys);
    int columns = x.columns();
    workers.eachRow(
        x.rows(),
        (worker, row) ->
            Rows.dropout(from, Seeds.mix(keys.get(row), layer), rate, to, row, columns));
  }

  @Override
  public void rope(Tensor x, Tensor positions, double[] frequencies, boolean backwards) {
    rotations.rotate(x, ints(positions), frequencies, backwards);
  }

  @Override
  public void takeColumns(Tensor x, int from, Tensor part) {
    Elements wide = Elements.of(x);
    Elements narrow = Elements.of(part);
    int d = part.columns();
    int all = x.columns();
    workers.eachRow(x.rows(), (worker, row) -> narrow.copy(row * d, wide, row * all + from, d));
  }

  @Override
  public void gatherColumns(Tensor x, Tensor chosen, Tensor out) {
    columns.gather(x, ints(chosen), out);
  }

  @Override
  public void putColumns(Tensor part, int from, Tensor x) {
    Elements wide = Elements.of(x);
    Elements narrow = Elements.of(part);
    int d = part.columns();
    int all = x.columns();
    workers.eachRow(x.rows(), (worker, row) -> wide.copy(row * all + from, narrow, row * d, d));
  }

  @Override
  public void close() {
    workers.close();
  }
}
