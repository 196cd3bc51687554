package dev.kindling.tensor;

import java.util.Arrays;
import java.util.Locale;
import java.util.Optional;

/** In which form a base's frozen matrices are kept in memory. */
public enum Storage {
  /** In the type that products are made in. */
  FP32,
  /** In the width that they are stored in, where the backend can. */
  AS_STORED,
  /**
   * Those of linear layers in blocks as codes of 4 bits (NormalFloat, Dettmers et al.,
   * arXiv:2305.14314), all others {@link #AS_STORED}.
   */
  NF4,
  /** The same with codes of 8 bits, evenly spaced. */
  INT8;

  /** Whether matrices of blocks are rounded to codes: then the model is another one. */
  public boolean coded() {
    return this == NF4 || this == INT8;
  }

  /** As configurations and notes spell it. */
  public String spelled() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /** The one that is spelled so. */
  public static Optional<Storage> of(String spelled) {
    return Arrays.stream(values()).filter(s -> s.spelled().equals(spelled)).findFirst();
  }
}
