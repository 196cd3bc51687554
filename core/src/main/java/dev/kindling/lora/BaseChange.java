package dev.kindling.lora;

import dev.kindling.lora.Parameter.Role;
import java.util.ArrayList;
import java.util.List;

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
      AdapterLayout own = layout.pairs(part.rank);
      for (int p = 0; p < own.parameters().size(); p++) {
        place(own.parameters().get(p), part.factors, whole.parameters().get(p), factors, from);
      }
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
    if (changes.isEmpty()) {
      return new Adapter(layout, trainables);
    }
    List<BaseChange> all = new ArrayList<>();
    all.add(of(layout, trainables));
    all.addAll(changes);
    BaseChange sum = sum(layout, all);
    AdapterLayout pairs = layout.pairs(sum.rank);
    AdapterLayout whole = layout.atRank(sum.rank);
    float[] values = new float[whole.elements()];
    for (int p = 0; p < whole.parameters().size(); p++) {
      Parameter to = whole.parameters().get(p);
      Parameter was = layout.parameters().get(p);
      boolean paired = !to.role().whole();
      Parameter from = paired ? pairs.find(to.module(), to.role()).orElseThrow() : was;
      float[] source = paired ? sum.factors : trainables;
      System.arraycopy(source, from.offset(), values, to.offset(), to.elements());
    }
    return new Adapter(whole, values);
  }

  /** The pairs among trainables as a change. */
  public static BaseChange of(AdapterLayout layout, float[] trainables) {
    int rank = layout.settings().r();
    AdapterLayout pairs = layout.pairs(rank);
    float[] factors = new float[pairs.elements()];
    for (Parameter to : pairs.parameters()) {
      Parameter from = layout.find(to.module(), to.role()).orElseThrow();
      System.arraycopy(trainables, from.offset(), factors, to.offset(), to.elements());
    }
    return new BaseChange(rank, factors);
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
