package dev.kindling.dl4j;

/** What a gradient does to the trainables. */
public interface UpdateRule {
  /**
   * Changes trainables and optimiser state in place.
   *
   * @param gradient spoilt
   * @param state the optimiser's vectors behind each other
   * @param step from 0
   */
  void apply(float[] trainables, float[] gradient, float[] state, long step);
}
