package dev.kindling.lora;

import dev.kindling.lora.Parameter.Role;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * What is added to the frozen weight of every pair: scale·B·A, of factors that have a rank of their
 * own. So it reaches an executor as factors, of r·(in + out) values where the weight has in·out.
 *
 * @param rank of the factors, at least 1
 * @param factors in the order of {@link AdapterLayout#pairs}
 */
public record BaseChange(int rank, float[] factors) {
  /** Trainables with a layout of their own. */
  public record Adapter(AdapterLayout layout, float[] values) {}

  /**
   * The sum of changes as one: factors beside each other, so that their products add up.
   *
   * @param layout of the run's trainables
   * @param parts at least one
   */
  public static BaseChange sum(AdapterLayout layout, List<BaseChange> parts) {
    int rank = parts.stream().mapToInt(BaseChange::rank).sum();
    AdapterLayout whole = layout.pairs(rank);
    float[] factors = new float[whole.elements()];
    int from = 0;
    for (BaseChange part : parts) {
      place(layout.pairs(part.rank), part.factors, whole, factors, from);
      from += part.rank;
    }
    return new BaseChange(rank, factors);
  }

  /**
   * The adapter that does to the base as it was what the trainables do to the changed one: of the
   * sum of all ranks.
   *
   * @param layout of the trainables
   */
  public static Adapter folded(AdapterLayout layout, float[] trainables, List<BaseChange> changes) {
    int own = layout.settings().r();
    AdapterLayout whole = layout.atRank(own + changes.stream().mapToInt(BaseChange::rank).sum());
    float[] values = new float[whole.elements()];
    place(layout, trainables, whole, values, 0);
    int from = own;
    for (BaseChange change : changes) {
      place(layout.pairs(change.rank), change.factors, whole, values, from);
      from += change.rank;
    }
    return new Adapter(whole, values);
  }

  /** The pairs among trainables as a change. */
  public static BaseChange of(AdapterLayout layout, float[] trainables) {
    int rank = layout.settings().r();
    AdapterLayout pairs = layout.pairs(rank);
    float[] factors = new float[pairs.elements()];
    place(layout, trainables, pairs, factors, 0);
    return new BaseChange(rank, factors);
  }

  /**
   * What lies behind the first ranks of an adapter's pairs: what a run has added to the base, if it
   * was folded behind what was learned.
   *
   * @param first ranks, fewer than all, of layers with a rank of their own in proportion
   */
  public static BaseChange behind(AdapterLayout layout, float[] trainables, int first) {
    int rank = layout.settings().r() - first;
    AdapterLayout pairs = layout.pairs(rank);
    float[] factors = new float[pairs.elements()];
    for (Parameter to : pairs.parameters()) {
      Parameter from = layout.find(to.module(), to.role()).orElseThrow();
      int skipped = from.rank() - to.rank();
      boolean rows = to.role() == Role.A;
      int width = rows ? to.elements() : to.rank();
      int stride = rows ? from.elements() : from.rank();
      int start = from.offset() + (rows ? skipped * (int) from.shape()[1] : skipped);
      for (int at = 0; at < to.elements(); at += width, start += stride) {
        System.arraycopy(trainables, start, factors, to.offset() + at, width);
      }
    }
    return new BaseChange(rank, factors);
  }

  /**
   * Puts factors into wider ones, from a component on, and what has no rank as it is, if it has a
   * place there.
   */
  private static void place(
      AdapterLayout layout, float[] values, AdapterLayout wider, float[] into, int first) {
    Map<String, Parameter> targets = new HashMap<>();
    wider.parameters().forEach(p -> targets.put(p.name(), p));
    for (Parameter from : layout.parameters()) {
      Parameter to = targets.get(from.name());
      if (to == null) {
        continue;
      }
      if (from.role().whole()) {
        System.arraycopy(values, from.offset(), into, to.offset(), to.elements());
      } else { // of layers with a rank of their own in proportion
        place(from, values, to, into, first * to.rank() / wider.settings().r());
      }
    }
  }

  /** Puts a factor into a wider one, from a component on: rows of A, columns of all others. */
  private static void place(Parameter from, float[] values, Parameter to, float[] into, int first) {
    if (from.role() == Role.A) {
      int start = to.offset() + first * (int) to.shape()[1];
      System.arraycopy(values, from.offset(), into, start, from.elements());
      return;
    }
    int narrow = (int) from.shape()[1];
    int wide = (int) to.shape()[1];
    for (int row = 0; row < from.shape()[0]; row++) {
      System.arraycopy(
          values, from.offset() + row * narrow, into, to.offset() + row * wide + first, narrow);
    }
  }
}
