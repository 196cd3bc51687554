package dev.kindling.job.sync;

import dev.kindling.job.broadcast.MemoryUse;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * What a step cost.
 *
 * @param executors ids of those who computed, with how often each loaded the weights
 * @param bytesDown what each of them was sent, summed
 * @param bytesUp task results
 * @param bytesExact what synchronous, exact gradients of all trainables need, {@link #exactBytes}
 * @param memory the most that any executor's JVM held
 * @param numerics what executors say that their bits depend on, each with one that says so
 * @param gpus UUIDs of the devices that executors computed on, by executor
 * @param computeSeconds of the slowest task
 * @param seconds of the whole exchange, the computation included
 */
public record Exchange(
    TreeMap<String, Integer> executors,
    long bytesDown,
    long bytesUp,
    long bytesExact,
    MemoryUse memory,
    TreeMap<String, String> numerics,
    TreeMap<String, TreeSet<String>> gpus,
    double computeSeconds,
    double seconds) {
  /**
   * The floor of the exact scheme, for one step in which every trainable has a gradient: 4 bytes
   * for each down to each executor, 8 up from each task, or host that adds what its tasks have.
   */
  static long exactBytes(long trainables, long executors, long sums) {
    return trainables * (4 * executors + 8 * sums);
  }

  /** What no attempt has cost. */
  static Exchange nothing() {
    return new Exchange(
        new TreeMap<>(), 0, 0, 0, new MemoryUse(0, 0), new TreeMap<>(), new TreeMap<>(), 0, 0);
  }

  /** This exchange, with the cost of an attempt before it. */
  Exchange after(Exchange attempt) {
    TreeMap<String, String> said = new TreeMap<>(attempt.numerics);
    said.putAll(numerics);
    return new Exchange(
        executors,
        bytesDown + attempt.bytesDown,
        bytesUp + attempt.bytesUp,
        bytesExact, // an attempt too many is what the scheme costs beyond its least
        memory.max(attempt.memory),
        said,
        gpus,
        computeSeconds + attempt.computeSeconds,
        seconds + attempt.seconds);
  }
}
