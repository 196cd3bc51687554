package dev.kindling.lora.plan;

import java.util.List;
import java.util.Optional;
import java.util.function.Function;

/** Whether pairs that read the same input are computed together. */
public final class JoinedPlan {
  /**
   * Tokens are a multiple of this: of bf16 16 bytes, at multiples of which the rows of the shared
   * projections [ranks, tokens] then begin. A GPU's fast products read no others, and copy their
   * operands first.
   */
  public static final int STEP = 8;

  private JoinedPlan() {}

  /**
   * The plan that all are computed by; empty if each is computed by itself.
   *
   * @param shapes without dropout, magnitudes or sampling, of as many tokens and features
   */
  public static Optional<PairPlan> of(List<PairShape> shapes, Function<PairShape, PairPlan> plans) {
    if (shapes.size() < 2 || shapes.get(0).tokens() % STEP != 0) {
      return Optional.empty();
    }
    List<PairPlan> chosen = shapes.stream().map(plans).distinct().toList();
    return chosen.size() == 1 ? Optional.of(chosen.get(0)) : Optional.empty();
  }
}
