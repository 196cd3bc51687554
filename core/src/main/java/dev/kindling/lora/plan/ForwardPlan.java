package dev.kindling.lora.plan;

import java.util.Arrays;
import java.util.List;

/**
 * How y [N, out] = x·wᵀ + s·(x·aᵀ)·bᵀ is formed: RunLoRA's forward1 to forward4. Its forward4 takes
 * the sequences of a batch one by one where forward2 takes all tokens as one matrix; here tokens
 * are one matrix always, so that both are the same products.
 */
public enum ForwardPlan {
  /** x·wᵀ, then the adapter's branch is added. */
  FACTORED(1),
  /** x·(w + s·b·a)ᵀ. Cheaper if tokens exceed in·out / (in + out). */
  MERGED(2),
  /** The adapter's branch, then x·wᵀ is added. */
  ADAPTER_FIRST(3),
  /** As {@link #MERGED}. */
  MERGED_BY_SEQUENCE(4);

  private final int number;

  ForwardPlan(int number) {
    this.number = number;
  }

  /** The plan of one of the paper's numbers, 1 to 4. */
  static ForwardPlan of(int number) {
    return Arrays.stream(values()).filter(plan -> plan.number == number).findFirst().orElseThrow();
  }

  /** The paper's number. */
  public int number() {
    return number;
  }

  /** Whether w + s·b·a is formed. */
  public boolean merges() {
    return this == MERGED || this == MERGED_BY_SEQUENCE;
  }

  /** The products, in order. */
  public List<Product> products(PairShape s) {
    Product base = Product.of(s.tokens(), s.in(), s.out());
    Product projection = Product.of(s.tokens(), s.in(), s.rank());
    return switch (this) {
      case FACTORED -> List.of(projection, base, Product.adding(s.tokens(), s.rank(), s.out()));
      case ADAPTER_FIRST ->
          List.of(
              projection,
              Product.of(s.tokens(), s.rank(), s.out()),
              Product.adding(s.tokens(), s.in(), s.out()));
      case MERGED, MERGED_BY_SEQUENCE -> List.of(Product.adding(s.out(), s.rank(), s.in()), base);
    };
  }
}
