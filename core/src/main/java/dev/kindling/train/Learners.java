package dev.kindling.train;

import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.Halves;
import dev.kindling.lora.Parameter;
import dev.kindling.lora.Parameter.Role;
import dev.kindling.lora.TrainMask;
import dev.kindling.optim.Group;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;

/**
 * Which trainables learn, and how fast.
 *
 * @param mask which
 * @param ratio of the learning rate of B to that of A and of all others (LoRA+, arXiv:2402.12354),
 *     above 0
 */
public record Learners(TrainMask mask, double ratio) implements Serializable {
  /** All of them, alike. */
  public static final Learners ALL = new Learners(Halves.BOTH, 1);

  /**
   * The groups that learn, neighbours that are alike together.
   *
   * @param step from 0
   * @param taken of each rank of the pairs, the steps that have moved it; −1 if this one does not
   */
  public List<Group> groups(AdapterLayout layout, long step, long[] taken) {
    List<Group> groups = new ArrayList<>();
    for (Parameter p : layout.parameters()) {
      double factor = factor(p, step);
      if (factor > 0 && p.role().whole()) {
        join(groups, new Group(p.offset(), p.offset() + p.elements(), factor, step));
      } else if (factor > 0) {
        ofPair(p, factor, taken, groups);
      }
    }
    return groups;
  }

  /** Ranks that have been moved as often are together: rows of A, columns of all others. */
  private static void ofPair(Parameter p, double factor, long[] taken, List<Group> groups) {
    int r = p.rank();
    int each = p.elements() / r;
    int end = p.offset() + p.elements();
    for (int first = 0, next; first < r; first = next) {
      next = first + 1;
      while (next < r && taken(taken, next) == taken(taken, first)) {
        next++;
      }
      if (taken(taken, first) < 0) {
        continue;
      }
      if (p.role() == Role.A || next - first == r) {
        int from = p.offset() + first * each;
        join(groups, new Group(from, p.offset() + next * each, factor, taken(taken, first)));
      } else {
        groups.add(
            new Group(p.offset() + first, end, r, next - first, factor, taken(taken, first)));
      }
    }
  }

  /** A layer with more ranks than others has them in all steps, as all then have. */
  private static long taken(long[] taken, int rank) {
    return taken[Math.min(rank, taken.length - 1)];
  }

  private static void join(List<Group> groups, Group next) {
    int at = groups.size() - 1;
    if (at >= 0) {
      Group last = groups.get(at);
      boolean alike = last.factor() == next.factor() && last.taken() == next.taken();
      if (last.whole() && last.to() == next.from() && alike) {
        groups.set(at, new Group(last.from(), next.to(), next.factor(), next.taken()));
        return;
      }
    }
    groups.add(next);
  }

  private double factor(Parameter p, long step) {
    if (!mask.learns(p, step)) {
      return 0;
    }
    return switch (p.role()) {
      case B, EMBEDDING_A -> ratio;
      case A, EMBEDDING_B, WEIGHT, BIAS, MAGNITUDE -> 1;
      case SELECTION -> 0;
    };
  }
}
