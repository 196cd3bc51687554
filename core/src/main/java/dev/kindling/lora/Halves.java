package dev.kindling.lora;

import dev.kindling.lora.Parameter.Role;

/**
 * Which halves of pairs learn. Of an embedding A begins at zero and B at random, so there the two
 * change places.
 */
public enum Halves implements TrainMask {
  BOTH,
  /** B alone: what is random stays as it is drawn (FFA-LoRA, arXiv:2403.12313). */
  B,
  /** A alone. */
  A;

  @Override
  public boolean learns(Parameter p, long step) {
    return learn(p.role());
  }

  /** Whether a parameter of a pair learns; all others do as they are. */
  public boolean learn(Role role) {
    return switch (role) {
      case A, EMBEDDING_B -> this != B;
      case B, EMBEDDING_A -> this != A;
      case WEIGHT, BIAS, MAGNITUDE, SELECTION -> true;
    };
  }
}
