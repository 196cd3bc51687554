package dev.kindling.tensor.cpu;

import dev.kindling.tensor.DType;
import dev.kindling.tensor.Tensor;
import dev.kindling.tensor.cpu.CodedMatrix.Piece;
import dev.kindling.tensor.cpu.CodedMatrix.Side;
import java.nio.FloatBuffer;
import java.nio.ShortBuffer;
import java.util.ArrayList;
import java.util.List;

/** Mutable: turns codes of matrices into numbers, row by row on all workers. */
public final class Decoder {
  private final Workers workers;
  private final List<Codes.Line> lines = new ArrayList<>();

  Decoder(Workers workers) {
    this.workers = workers;
    for (int worker = 0; worker < workers.count(); worker++) {
      lines.add(new Codes.Line());
    }
  }

  /**
   * Writes a piece as a dense matrix.
   *
   * @param into F32 or BF16, with room for [rows, columns]
   */
  public void decode(Piece piece, Tensor into) {
    int columns = piece.columns();
    if (into.type() == DType.BF16) {
      ShortBuffer target = CpuMemory.halves(into);
      each(piece, true, (line, at) -> target.put(at, line.halves(), 0, columns));
    } else {
      FloatBuffer target = CpuMemory.floats(into);
      each(piece, false, (line, at) -> target.put(at, line.floats(), 0, columns));
    }
  }

  /** squares [out] = the sum of the squares of each row of w, as products see it. */
  void squares(CodedMatrix w, Tensor squares) {
    FloatBuffer into = CpuMemory.floats(squares);
    Tensor room = CpuMemory.allocate(w.active(), w.pieceElements());
    Elements values = Elements.of(room);
    for (int from = 0; from < w.out(); from += w.step(Side.OUT)) {
      Piece piece = w.piece(Side.OUT, from);
      decode(piece, room);
      double[] sums = new double[piece.count()];
      for (int row = 0; row < piece.rows(); row++) {
        for (int column = 0; column < piece.columns(); column++) {
          double value = values.get(row * piece.columns() + column);
          sums[piece.transposed() ? row : column] += value * value;
        }
      }
      for (int o = 0; o < sums.length; o++) {
        into.put(from + o, (float) sums[o]);
      }
    }
    CpuMemory.free(room);
  }

  /** Where a decoded row goes. */
  private interface Target {
    /** Writes it from element {@code at} on. */
    void put(Codes.Line line, int at);
  }

  private void each(Piece piece, boolean half, Target target) {
    Codes codes = piece.w().codes();
    workers.eachRow(
        piece.rows(),
        (worker, row) -> {
          Codes.Line line = lines.get(worker);
          long from = piece.start() + (long) row * piece.stride();
          codes.decode(from, piece.columns(), line, half);
          target.put(line, row * piece.columns());
        });
  }
}
