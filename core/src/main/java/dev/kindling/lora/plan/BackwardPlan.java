package dev.kindling.lora.plan;

import dev.kindling.lora.Halves;
import dev.kindling.lora.Parameter.Role;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;

/**
 * How the gradients of y = x·wᵀ + s·(x·aᵀ)·bᵀ are formed from dy [N, out]:
 *
 * <pre>
 *   da [r, in]  = s · (dy·b)ᵀ·x     or   s · bᵀ·g        g [out, in] = dyᵀ·x
 *   db [out, r] = s · dyᵀ·(x·aᵀ)    or   s · g·aᵀ
 *   dx [N, in]  = dy·w + s·(dy·b)·a or   dy·(w + s·b·a)
 * </pre>
 *
 * <p>Three choices of two make RunLoRA's backward1 to backward8. All are equal but for rounding.
 *
 * @param da how the gradient of a is formed
 * @param db how the gradient of b is formed
 * @param dx how the gradient of x is formed
 */
public record BackwardPlan(Gradient da, Gradient db, InputGradient dx) implements Serializable {
  /** What the gradient of a factor comes from. */
  public enum Gradient {
    /** Projections onto the rank: dy·b for a, x·aᵀ for b. */
    PROJECTION,
    /** The gradient of w, which both factors share. */
    WEIGHT
  }

  /** How the gradient of the input is formed. */
  public enum InputGradient {
    /** Frozen and adapter's branch apart, then added. */
    SPLIT,
    /** One product with w + s·b·a, which is formed for it. */
    MERGED
  }

  private static final List<BackwardPlan> BY_NUMBER =
      List.of(
          new BackwardPlan(Gradient.PROJECTION, Gradient.PROJECTION, InputGradient.SPLIT),
          new BackwardPlan(Gradient.PROJECTION, Gradient.WEIGHT, InputGradient.SPLIT),
          new BackwardPlan(Gradient.WEIGHT, Gradient.WEIGHT, InputGradient.SPLIT),
          new BackwardPlan(Gradient.WEIGHT, Gradient.WEIGHT, InputGradient.MERGED),
          new BackwardPlan(Gradient.PROJECTION, Gradient.PROJECTION, InputGradient.MERGED),
          new BackwardPlan(Gradient.WEIGHT, Gradient.PROJECTION, InputGradient.SPLIT),
          new BackwardPlan(Gradient.WEIGHT, Gradient.PROJECTION, InputGradient.MERGED),
          new BackwardPlan(Gradient.PROJECTION, Gradient.WEIGHT, InputGradient.MERGED));

  /** All eight, in the paper's order. */
  public static List<BackwardPlan> all() {
    return BY_NUMBER;
  }

  /** The paper's number, 1 to 8. */
  public int number() {
    return BY_NUMBER.indexOf(this) + 1;
  }

  /** Whether w + s·b·a is formed. */
  public boolean merges() {
    return dx == InputGradient.MERGED;
  }

  /** Whether x·aᵀ is read, if b learns. */
  public boolean readsProjection() {
    return db == Gradient.PROJECTION;
  }

  /** Whether the gradient of w is formed, where these halves learn. */
  public boolean formsWeightGradient(Halves halves) {
    return (halves.learn(Role.A) && da == Gradient.WEIGHT)
        || (halves.learn(Role.B) && db == Gradient.WEIGHT);
  }

  /** Whether dy·b is formed, where these halves learn. */
  public boolean projectsGradient(Halves halves, boolean inputWanted) {
    return (halves.learn(Role.A) && da == Gradient.PROJECTION)
        || (inputWanted && dx == InputGradient.SPLIT);
  }

  /**
   * The products, in order; what several read is formed once.
   *
   * @param projectionKept whether x·aᵀ is there already
   * @param inputWanted whether dx is wanted; of da and db those of halves that learn are
   */
  public List<Product> products(PairShape s, boolean projectionKept, boolean inputWanted) {
    long n = s.tokens();
    List<Product> products = new ArrayList<>();
    if (s.halves().learn(Role.B) && readsProjection() && !projectionKept) {
      products.add(Product.of(n, s.in(), s.rank()));
    }
    if (formsWeightGradient(s.halves())) {
      products.add(Product.of(s.out(), n, s.in()));
    }
    if (s.halves().learn(Role.B)) {
      products.add(
          db == Gradient.PROJECTION
              ? Product.of(s.out(), n, s.rank())
              : Product.of(s.out(), s.in(), s.rank()));
    }
    if (projectsGradient(s.halves(), inputWanted)) {
      products.add(Product.of(n, s.out(), s.rank()));
    }
    if (s.halves().learn(Role.A)) {
      products.add(
          da == Gradient.PROJECTION
              ? Product.of(s.rank(), n, s.in())
              : Product.of(s.rank(), s.out(), s.in()));
    }
    if (inputWanted && dx == InputGradient.SPLIT) {
      if (s.samples()) {
        products.add(Product.of(n, s.kept(), s.in()));
        products.add(Product.of(n, s.out(), s.exact()));
        products.add(Product.adding(n, s.exact(), s.in()));
      } else {
        products.add(Product.of(n, s.out(), s.in()));
      }
      products.add(Product.adding(n, s.rank(), s.in()));
    } else if (inputWanted) {
      products.add(Product.adding(s.out(), s.rank(), s.in()));
      products.add(Product.of(n, s.out(), s.in()));
    }
    return products;
  }
}
