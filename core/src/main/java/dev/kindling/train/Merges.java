package dev.kindling.train;

import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.Initialiser;
import dev.kindling.lora.Parameter;
import dev.kindling.optim.Links;
import dev.kindling.tensor.Seeds;
import java.io.Serializable;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;

/**
 * Where pairs are added to the base and begin anew: A drawn again, B zero, so that what the model
 * computes stays the same while the ranks of all links add up (ReLoRA, arXiv:2307.05695; COLA,
 * arXiv:2401.04151).
 *
 * @param links between which that happens
 * @param restart what becomes of the optimiser's state of pairs
 * @param share of that state that is zeroed, unless all is, in [0, 1]
 * @param seed of the run
 */
public record Merges(Links links, Restart restart, double share, long seed)
    implements Serializable {
  /** Nowhere. */
  public static final Merges NONE = new Merges(Links.ONE, Restart.RESET, 1, 0);

  /** What becomes of the optimiser's state. */
  public enum Restart {
    /** All of it is forgotten, how long it has been kept too. */
    RESET,
    /** A share is zeroed at random. */
    RANDOM,
    /** Of each tensor those whose first moments are smallest are zeroed, a share of them. */
    MAGNITUDE
  }

  /** The step since which the optimiser knows the pairs that step {@code step} moves. */
  long knownSince(long step) {
    return restart == Restart.RESET ? links.begun(step) : 0;
  }

  /**
   * Draws the pairs of the link that begins now.
   *
   * @param step so many are done
   */
  void draw(AdapterLayout layout, float[] trainables, long step) {
    long drawn = Seeds.of(seed, "link", links.link(step));
    layout.drawPairs(drawn, Initialiser.KAIMING.drawn(), trainables);
  }

  /**
   * Forgets of pairs. What is forgotten of an element is forgotten in all parts of the state: a
   * first moment kept beside a second one that is gone would be divided by ε, and where B begins at
   * zero A's gradient does not mend that.
   *
   * @param state by name, of the trainables' length each, changed; the first by name says what is
   *     small
   */
  void prune(AdapterLayout layout, Map<String, float[]> state, long step) {
    if (state.isEmpty()) {
      return;
    }
    float[] leading = new TreeMap<>(state).firstEntry().getValue();
    for (Parameter p : layout.parameters()) {
      if (!p.role().whole()) {
        boolean[] gone = gone(leading, p, step);
        for (float[] values : state.values()) {
          for (int i = 0; i < gone.length; i++) {
            values[p.offset() + i] = gone[i] ? 0 : values[p.offset() + i];
          }
        }
      }
    }
  }

  private boolean[] gone(float[] leading, Parameter p, long step) {
    boolean[] gone = new boolean[p.elements()];
    switch (restart) {
      case RESET -> Arrays.fill(gone, true);
      case RANDOM -> {
        Random random = new Random(Seeds.of(seed, "prune " + links.link(step), p.name()));
        for (int i = 0; i < gone.length; i++) {
          gone[i] = random.nextDouble() < share;
        }
      }
      case MAGNITUDE -> {
        float[] sizes = new float[gone.length];
        for (int i = 0; i < gone.length; i++) {
          sizes[i] = Math.abs(leading[p.offset() + i]);
        }
        float[] ascending = sizes.clone();
        Arrays.sort(ascending);
        int count = (int) Math.round(share * gone.length);
        float largest = count == 0 ? -1 : ascending[count - 1];
        for (int i = 0; i < gone.length; i++) {
          gone[i] = sizes[i] <= largest;
        }
      }
    }
    return gone;
  }
}
