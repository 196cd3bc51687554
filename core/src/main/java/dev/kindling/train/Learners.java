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

  /** The groups that learn, neighbours at one rate together. */
  public List<Group> groups(AdapterLayout layout) {
    List<Group> groups = new ArrayList<>();
    for (Parameter p : layout.parameters()) {
      double factor = factor(p.role());
      int end = p.offset() + p.elements();
      int last = groups.size() - 1;
      if (factor == 0) {
        continue;
      }
      boolean joins =
          last >= 0 && groups.get(last).to() == p.offset() && groups.get(last).factor() == factor;
      if (joins) {
        groups.set(last, new Group(groups.get(last).from(), end, factor));
      } else {
        groups.add(new Group(p.offset(), end, factor));
      }
    }
    return groups;
  }

  private double factor(Parameter.Role role) {
    return switch (role) {
      case A, EMBEDDING_B -> halves == Halves.B ? 0 : 1;
      case B, EMBEDDING_A -> halves == Halves.A ? 0 : ratio;
      case WEIGHT, BIAS -> 1;
    };
  }
}
