package dev.kindling.train;

import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.Parameter;
import dev.kindling.optim.Links;
import dev.kindling.tensor.Seeds;
import java.io.Serializable;
import java.util.Arrays;
import java.util.Random;

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
    /** Of each tensor the smallest values are zeroed, a share of them. */
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
    layout.drawPairs(Seeds.of(seed, "link", links.link(step)), trainables);
  }

  /**
   * Forgets of pairs.
   *
   * @param name of this part of the optimiser's state
   * @param state of the trainables' length, changed
   */
  void prune(AdapterLayout layout, String name, float[] state, long step) {
    long draw = Seeds.of(Seeds.of(seed, "prune", links.link(step)), "state", name);
    for (Parameter p : layout.parameters()) {
      if (!p.role().whole()) {
        int to = p.offset() + p.elements();
        switch (restart) {
          case RESET -> Arrays.fill(state, p.offset(), to, 0);
          case RANDOM -> random(state, p.offset(), to, new Random(Seeds.of(draw, "", p.name())));
          case MAGNITUDE -> smallest(state, p.offset(), to);
        }
      }
    }
  }

  private void random(float[] state, int from, int to, Random random) {
    for (int i = from; i < to; i++) {
      state[i] = random.nextDouble() < share ? 0 : state[i];
    }
  }

  private void smallest(float[] state, int from, int to) {
    float[] sizes = new float[to - from];
    for (int i = from; i < to; i++) {
      sizes[i - from] = Math.abs(state[i]);
    }
    Arrays.sort(sizes);
    int gone = (int) Math.round(share * sizes.length);
    float largest = gone == 0 ? -1 : sizes[gone - 1];
    for (int i = from; i < to; i++) {
      state[i] = Math.abs(state[i]) <= largest ? 0 : state[i];
    }
  }
}
