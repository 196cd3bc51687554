package dev.kindling.job.sync;

/**
 * When the sums of a step's tasks are added on their hosts before they leave them ({@link
 * HostSums}).
 *
 * @param worth bytes of a step that must stay on the hosts for it; {@link #ALWAYS} for any tasks
 */
public record OnHosts(long worth) {
  /** Whatever it saves. */
  public static final long ALWAYS = Long.MIN_VALUE;

  /** Whatever it saves, not. */
  public static final long NEVER = Long.MAX_VALUE;

  /**
   * Whether it is worth it.
   *
   * @param trainables of a sum, those that have gradients
   * @param tasks of a step
   * @param hosts that they are on
   */
  public boolean pays(long trainables, int tasks, int hosts) {
    return tasks > 1 && Long.BYTES * trainables * (tasks - hosts) >= worth;
  }
}
