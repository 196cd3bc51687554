package dev.kindling.lora;

import dev.kindling.InvalidInput;
import dev.kindling.lora.Initialiser.FromBase;
import dev.kindling.lora.Initialiser.Pair;
import dev.kindling.lora.Parameter.Role;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;

/** Pairs that begin as a part of the base, which is taken out of it. */
public final class StartFromBase {
  private StartFromBase() {}

  /**
   * What stands against it: embeddings, and ranks that a weight does not have.
   *
   * @return one sentence each
   */
  public static List<String> problems(AdapterLayout layout) {
    List<String> problems = new ArrayList<>();
    for (Parameter a : layout.parameters()) {
      if (a.role() == Role.EMBEDDING_A) {
        problems.add(a.module() + " is an embedding, whose pair cannot begin as part of it");
      }
    }
    problems.addAll(layout.beyond());
    return problems;
  }

  /**
   * Overwrites all pairs; returns the change of the base that makes up for them.
   *
   * @param layout without {@link #problems}
   * @param vector trainables before the first step
   * @param weight [out, in] of a module by its name
   */
  public static BaseChange apply(
      AdapterLayout layout,
      float[] vector,
      FromBase initialiser,
      Function<String, float[]> weight) {
    int r = layout.settings().r();
    layout.parameters().stream()
        .filter(p -> p.role() == Role.A)
        .forEach(
            a -> {
              Parameter b = layout.find(a.module(), Role.B).orElseThrow();
              int in = (int) a.shape()[1];
              int out = (int) b.shape()[0];
              double s = layout.scale(a.module());
              Pair pair =
                  pair(initialiser, a.module(), weight.apply(a.module()), out, in, a.rank(), s);
              System.arraycopy(pair.a(), 0, vector, a.offset(), a.elements());
              System.arraycopy(pair.b(), 0, vector, b.offset(), b.elements());
            });
    BaseChange change = BaseChange.of(layout, vector);
    layout.pairs(r).parameters().stream()
        .filter(p -> p.role() == Role.B)
        .forEach(b -> negate(change.factors(), b.offset(), b.elements()));
    return change;
  }

  private static Pair pair(
      FromBase initialiser, String module, float[] w, int out, int in, int r, double s) {
    try {
      return initialiser.pair(w, out, in, r, s);
    } catch (ArithmeticException e) {
      throw new InvalidInput(
          "the weight of " + module,
          String.valueOf(e.getMessage()),
          "take it out of adapter.target-modules, or set adapter.initialiser = kaiming");
    }
  }

  private static void negate(float[] values, int from, int count) {
    for (int i = from; i < from + count; i++) {
      values[i] = -values[i];
    }
  }
}
