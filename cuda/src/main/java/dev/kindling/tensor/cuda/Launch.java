package dev.kindling.tensor.cuda;

import java.util.List;

/**
 * One run of a kernel.
 *
 * @param kernel its name in the {@code .cu} resources
 * @param blocks of the grid, at least 1
 * @param threads of a block: whole warps, 1,024 at most
 * @param shared bytes of shared memory of a block, beside what the kernel itself says
 * @param arguments in the order of its parameters
 */
record Launch(String kernel, int blocks, int threads, int shared, List<Argument> arguments)
    implements Work {
  /** A warp of threads. */
  static final int WARP = 32;

  /** Most threads of a block. */
  static final int MOST_THREADS = 1024;

  Launch {
    if (blocks < 1 || threads < WARP || threads > MOST_THREADS || threads % WARP != 0) {
      throw new IllegalArgumentException(
          kernel + " in " + blocks + " blocks of " + threads + " threads");
    }
    arguments = List.copyOf(arguments);
  }

  @Override
  public boolean names(long from, long to) {
    for (Argument argument : arguments) {
      if (argument instanceof Address address && from <= address.value && address.value < to) {
        return true;
      }
    }
    return false;
  }

  /** A parameter's value; its type must be the parameter's. */
  sealed interface Argument {}

  /** A pointer. */
  record Address(long value) implements Argument {}

  /** An {@code int}. */
  record Int(int value) implements Argument {}

  /** A {@code long long}. */
  record Long64(long value) implements Argument {}

  /** A {@code float}. */
  record Real(float value) implements Argument {}
}
