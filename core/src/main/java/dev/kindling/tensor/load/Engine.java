package dev.kindling.tensor.load;

import dev.kindling.tensor.onednn.OneDnnBackend;

/** The CPU backends. */
public enum Engine {
  ONEDNN,
  ND4J;

  /** oneDNN where its native library is to be had, else ND4J. */
  public static Engine best() {
    return OneDnnBackend.available() ? ONEDNN : ND4J;
  }
}
