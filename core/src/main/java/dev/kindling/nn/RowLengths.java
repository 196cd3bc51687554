package dev.kindling.nn;

import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.Parameter;
import dev.kindling.lora.Parameter.Role;
import dev.kindling.tensor.Arena;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.Tensor;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;

/**
 * Mutable: the lengths of the rows of a task's adapted weights, w + s·b·a, computed once for the
 * trainables that are loaded. By ‖w‖² + 2s·b∘(w·aᵀ) + s²·b∘(b·a·aᵀ), which takes 2·in·out·r
 * operations as forming the weight does, and no memory as large as that.
 */
final class RowLengths implements AutoCloseable {
  private final Backend backend;
  private final Tensor all;
  private final Tensor projected;
  private final Tensor bGram;
  private final Tensor gram;
  private final Map<String, Row> rows = new HashMap<>();
  private final Set<String> squared = new HashSet<>();
  private final Set<String> known = new HashSet<>();

  /** Of one layer: of w, squared, and of the adapted weight; [out] each. */
  private record Row(Tensor squares, Tensor lengths) {}

  /** Where memory comes from. */
  private interface Room {
    Tensor take(DType type, long... shape);
  }

  private RowLengths(Backend backend, AdapterLayout layout, Room room) {
    this.backend = backend;
    long outputs = 0;
    long widest = 0;
    long highest = 0;
    for (Parameter p : layout.parameters()) {
      if (p.role() == Role.MAGNITUDE) {
        Parameter b = layout.find(p.module(), Role.B).orElseThrow();
        outputs += p.elements();
        widest = Math.max(widest, b.elements());
        highest = Math.max(highest, b.rank());
      }
    }
    this.all = room.take(backend.real(), 2 * outputs);
    this.projected = room.take(backend.real(), widest);
    this.bGram = room.take(backend.real(), widest);
    this.gram = room.take(backend.active(), highest * highest);
    long at = 0;
    for (Parameter p : layout.parameters()) {
      if (p.role() == Role.MAGNITUDE) {
        long n = p.elements();
        rows.put(p.module(), new Row(all.slice(at, n), all.slice(at + n, n)));
        at += 2 * n;
      }
    }
  }

  static RowLengths of(Backend backend, AdapterLayout layout) {
    return new RowLengths(backend, layout, backend::allocate);
  }

  /** Without memory, to plan a model with; not to be closed. */
  static RowLengths unplaced(Backend backend, AdapterLayout layout) {
    return new RowLengths(backend, layout, Arena::unplaced);
  }

  /** Bytes of backend memory. */
  long bytes() {
    long real = all.elements() + projected.elements() + bGram.elements();
    return real * backend.real().bytes() + gram.elements() * backend.active().bytes();
  }

  /** Trainables have changed. */
  void forget() {
    known.clear();
  }

  /**
   * Of a layer [out]; valid until {@link #forget}.
   *
   * @param w [out, in]
   * @param a [r, in]
   * @param b [out, r]
   */
  Tensor of(String module, FrozenMatrix w, Tensor a, Tensor b, double scale) {
    Row row = rows.get(module);
    if (squared.add(module)) {
      backend.rowSquares(w, row.squares);
    }
    if (known.add(module)) {
      int r = a.rows();
      Tensor wa = projected.slice(0, r, w.out());
      Tensor aa = gram.slice(0, r, r);
      Tensor baa = bGram.slice(0, w.out(), r);
      backend.linear(a, w, null, wa, false); // [r, in]·[in, out]
      backend.matmul(a, false, a, true, 1, 0, aa); // [r, in]·[in, r]
      backend.matmul(b, false, aa, false, 1, 0, baa); // [out, r]·[r, r]
      backend.rowLengths(row.squares, wa, b, baa, scale, row.lengths);
    }
    return row.lengths;
  }

  @Override
  public void close() {
    backend.free(all);
    backend.free(projected);
    backend.free(bGram);
    backend.free(gram);
  }
}
