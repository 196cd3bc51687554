package dev.kindling.tensor.load;

import dev.kindling.tensor.onednn.InstructionSet;

/** The CPU backends. */
public enum Engine {
  ONEDNN,
  ND4J;

  /** oneDNN where its native library is to be had, else ND4J. */
  public static Engine best() {
    return InstructionSet.available() ? ONEDNN : ND4J;
  }
}
