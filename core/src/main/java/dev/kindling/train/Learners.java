package dev.kindling.train;

import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.Parameter;
import dev.kindling.optim.Group;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;

/**
 * Which halves of pairs learn, and how fast. Of an embedding A begins at zero and B at random, so
 * there the two change places.
 *
 * @param halves that learn; what is trained in full always does
 * @param ratio of the learning rate of B to that of A and of all others (LoRA+, arXiv:2402.12354),
 *     above 0
 */
public record Learners(Halves halves, double ratio) implements Serializable {
  /** All of them, alike. */
  public static final Learners ALL = new Learners(Halves.BOTH, 1);

  /** Halves of pairs. */
  public enum Halves {
    BOTH,
    /** B alone: what is random stays as it is drawn (FFA-LoRA, arXiv:2403.12313). */
    B,
    /** A alone. */
    A
  }

  /**
   * The groups that learn, neighbours that are alike together.
   *
   * @param begun the step since which the optimiser knows the pairs
   */
  public List<Group> groups(AdapterLayout layout, long begun) {
    List<Group> groups = new ArrayList<>();
    for (Parameter p : layout.parameters()) {
      double factor = factor(p.role());
      if (factor > 0) {
        long since = p.role().whole() ? 0 : begun;
        join(groups, new Group(p.offset(), p.offset() + p.elements(), factor, since));
      }
    }
    return groups;
  }

  private static void join(List<Group> groups, Group next) {
    int last = groups.size() - 1;
    Group wider =
        last < 0
            ? next
            : new Group(groups.get(last).from(), next.to(), next.factor(), next.begun());
    boolean alike =
        last >= 0
            && groups.get(last).to() == next.from()
            && groups.get(last).factor() == next.factor()
            && groups.get(last).begun() == next.begun();
    if (alike) {
      groups.set(last, wider);
    } else {
      groups.add(next);
    }
  }

  private double factor(Parameter.Role role) {
    return switch (role) {
      case A, EMBEDDING_B -> halves == Halves.B ? 0 : 1;
      case B, EMBEDDING_A -> halves == Halves.A ? 0 : ratio;
      case WEIGHT, BIAS -> 1;
    };
  }
}
