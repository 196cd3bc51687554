package dev.kindling.tensor.cpu;

import dev.kindling.tensor.DType;
import dev.kindling.tensor.Storage;
import dev.kindling.tensor.Tensor;
import java.nio.ByteBuffer;

/**
 * The elements of a matrix as codes, in blocks of 64 of its row-major order, which cross rows where
 * these are no multiple of it; the last one may be shorter.
 */
final class Codes {
  /** Elements that share a scale. */
  static final int BLOCK = 64;

  /** Elements that are coded at once; blocks divide it. */
  private static final int PIECE = 1 << 16;

  private final Storage storage;
  private final Tensor codes;
  private final ByteBuffer packed;
  private final Scales scales;

  private Codes(Storage storage, Tensor codes, Scales scales) {
    this.storage = storage;
    this.codes = codes;
    this.packed = CpuMemory.bytes(codes);
    this.scales = scales;
  }

  /** Rounds a loaded F32 matrix. */
  static Codes of(Storage storage, Tensor w, Workers workers) {
    long all = w.elements();
    Tensor codes = CpuMemory.allocate(DType.I8, codeBytes(storage, all));
    ByteBuffer target = CpuMemory.bytes(codes);
    float[] largest = new float[Math.toIntExact(blocks(all))];
    workers.each(
        Math.toIntExact((all + PIECE - 1) / PIECE),
        (worker, piece) -> {
          Coding coding = Coding.of(storage);
          long from = (long) piece * PIECE;
          int count = (int) Math.min(PIECE, all - from);
          float[] values = new float[count];
          CpuMemory.floats(w.slice(from, count)).get(0, values);
          byte[] coded = new byte[(count + coding.perByte() - 1) / coding.perByte()];
          int first = Math.toIntExact(from / BLOCK);
          for (int at = 0; at < count; at += BLOCK) {
            int n = Math.min(BLOCK, count - at);
            float most = magnitude(values, at, n);
            largest[first + at / BLOCK] = most;
            coding.encode(values, at, n, most, coded, at);
          }
          target.put(Math.toIntExact(from / coding.perByte()), coded);
        });
    return new Codes(storage, codes, new Scales(largest));
  }

  private static float magnitude(float[] values, int from, int count) {
    float most = 0;
    for (int i = from; i < from + count; i++) {
      most = Math.max(most, Math.abs(values[i]));
    }
    return most;
  }

  /** Bytes of a matrix of so many elements. */
  static long bytes(Storage storage, long elements) {
    return codeBytes(storage, elements) + Scales.bytes(blocks(elements));
  }

  private static long codeBytes(Storage storage, long elements) {
    int perByte = Coding.of(storage).perByte();
    return (elements + perByte - 1) / perByte;
  }

  private static long blocks(long elements) {
    return (elements + BLOCK - 1) / BLOCK;
  }

  ByteBuffer packed() {
    return packed.duplicate();
  }

  Scales scales() {
    return scales;
  }

  /** Mutable: a worker's room for one row, which grows to the longest and stays. */
  static final class Line {
    private byte[] packed = new byte[0];
    private byte[] codes = new byte[0];
    private float[] floats = new float[0];
    private short[] halves = new short[0];
    private final Nf4 nf4 = new Nf4();
    private final Int8 int8 = new Int8();

    private Coding coding(Storage storage) {
      return storage == Storage.NF4 ? nf4 : int8;
    }

    private void grow(int elements, boolean half) {
      if (codes.length < elements) {
        codes = new byte[elements];
        packed = new byte[elements + 1];
      }
      if (half && halves.length < elements) {
        halves = new short[elements];
      } else if (!half && floats.length < elements) {
        floats = new float[elements];
      }
    }

    /** What was decoded last, from index 0. */
    float[] floats() {
      return floats;
    }

    /** The same as BF16. */
    short[] halves() {
      return halves;
    }
  }

  /**
   * Decodes elements {@code from …}.
   *
   * @param half whether to BF16
   */
  void decode(long from, int count, Line line, boolean half) {
    line.grow(count, half);
    Coding coding = line.coding(storage);
    int first = (int) (from % coding.perByte());
    int bytes = (first + count + coding.perByte() - 1) / coding.perByte();
    packed.get((int) (from / coding.perByte()), line.packed, 0, bytes);
    coding.unpack(line.packed, first, count, line.codes);
    for (int done = 0; done < count; ) {
      long element = from + done;
      int n = (int) Math.min(count - done, BLOCK - element % BLOCK);
      float scale = scales.of((int) (element / BLOCK));
      if (half) {
        coding.decode(line.codes, done, n, scale, line.halves);
      } else {
        coding.decode(line.codes, done, n, scale, line.floats);
      }
      done += n;
    }
  }

  void free() {
    CpuMemory.free(codes);
    scales.free();
  }
}
