package dev.kindling.lora.plan;

import dev.kindling.lora.Halves;
import dev.kindling.lora.Parameter.Role;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * A whole plan of a low-rank layer. Its id is {@code f}, the forward's number, {@code k} if the
 * projection is kept, {@code b} and the backward's number: {@code f1kb1} is what PEFT computes,
 * {@code f2b5} what RunLoRA mostly chooses.
 *
 * @param keepsProjection whether x·aᵀ [N, r] lasts from forward to backward, which the paper never
 *     does: it saves N·in·r and costs N·r elements
 */
public record PairPlan(ForwardPlan forward, boolean keepsProjection, BackwardPlan backward)
    implements Serializable {
  private static final Pattern ID = Pattern.compile("f([1-4])(k?)b([1-8])");

  /** What PEFT's formulation computes, and with it every autograd: {@code f1kb1}. */
  public static final PairPlan PLAIN =
      new PairPlan(ForwardPlan.FACTORED, true, BackwardPlan.all().get(0));

  /** The plan of an id; empty if there is none. */
  public static Optional<PairPlan> of(String id) {
    Matcher m = ID.matcher(id);
    if (!m.matches()) {
      return Optional.empty();
    }
    return Optional.of(
        new PairPlan(
            ForwardPlan.of(Integer.parseInt(m.group(1))),
            !m.group(2).isEmpty(),
            BackwardPlan.all().get(Integer.parseInt(m.group(3)) - 1)));
  }

  /** Every combination, plain first: of equals the first is chosen. */
  public static List<PairPlan> all() {
    List<PairPlan> all = new ArrayList<>(List.of(PLAIN));
    for (ForwardPlan forward : ForwardPlan.values()) {
      for (BackwardPlan backward : BackwardPlan.all()) {
        Stream.of(true, false)
            .map(keeps -> new PairPlan(forward, keeps, backward))
            .filter(plan -> !plan.equals(PLAIN))
            .forEach(all::add);
      }
    }
    return List.copyOf(all);
  }

  /** The id. */
  public String id() {
    return "f" + forward.number() + (keepsProjection ? "k" : "") + "b" + backward.number();
  }

  /** Whether w + s·b·a is formed anywhere. */
  public boolean merges() {
    return forward.merges() || backward.merges();
  }

  /** Whether the backward forms x·aᵀ, where these halves learn. */
  public boolean projectsAgain(Halves halves) {
    return halves.learn(Role.B) && backward.readsProjection() && !keepsProjection;
  }

  /** All products of a step, in order. */
  public List<Product> products(PairShape shape, boolean inputWanted) {
    List<Product> products = new ArrayList<>(forward.products(shape));
    products.addAll(backward.products(shape, keepsProjection, inputWanted));
    return products;
  }

  /** Floating-point operations of a step. */
  public long flops(PairShape shape, boolean inputWanted) {
    return products(shape, inputWanted).stream().mapToLong(Product::flops).sum();
  }

  /** Elements that a step's products read and write. */
  public long elements(PairShape shape, boolean inputWanted) {
    return products(shape, inputWanted).stream().mapToLong(Product::elements).sum();
  }

  /** Elements that last from forward to backward, beside x. */
  public long keptElements(PairShape shape) {
    return keepsProjection ? shape.tokens() * shape.rank() : 0;
  }

  /** Elements of scratch as large as w: the merged weight, the gradient of w. */
  public long scratchElements(PairShape shape) {
    long weight = shape.in() * shape.out();
    return (merges() ? weight : 0) + (backward.formsWeightGradient(shape.halves()) ? weight : 0);
  }

  @Override
  public String toString() {
    return id();
  }
}
