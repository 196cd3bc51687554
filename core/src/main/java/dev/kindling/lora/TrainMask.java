package dev.kindling.lora;

import java.io.Serializable;

/** Which trainables learn, by layer and step; a mask that looks at neither is {@link Halves}. */
public interface TrainMask extends Serializable {
  /**
   * Whether one does; neither gradient nor decay moves the others.
   *
   * @param step from 0
   */
  boolean learns(Parameter p, long step);
}
