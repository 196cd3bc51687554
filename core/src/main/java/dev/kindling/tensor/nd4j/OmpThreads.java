package dev.kindling.tensor.nd4j;

import org.nd4j.linalg.cpu.nativecpu.bindings.Nd4jCpu;

/**
 * Mutable: how many threads OpenMP gives to native code, which each Java thread decides for itself.
 *
 * <p>The launcher starts every JVM with {@code OMP_NUM_THREADS} as configured, and then nothing is
 * to do. Where it says something else, ND4J's native library tells OpenMP: no other library here
 * has a way to.
 */
public final class OmpThreads {
  private static final ThreadLocal<Integer> LATEST =
      ThreadLocal.withInitial(OmpThreads::byEnvironment);

  private final int count;

  /**
   * @param count threads of each operation, at least 1
   */
  public OmpThreads(int count) {
    this.count = count;
  }

  private static int byEnvironment() {
    String said = System.getenv("OMP_NUM_THREADS");
    return said != null && said.matches("[1-9][0-9]{0,4}") ? Integer.parseInt(said) : 0;
  }

  /** Makes it so for the calling thread. */
  public void ensure() {
    if (LATEST.get() == count) {
      return;
    }
    new Nd4jCpu().setOmpNumThreads(count); // the library alone: all of ND4J takes twice as long
    LATEST.set(count);
  }
}
