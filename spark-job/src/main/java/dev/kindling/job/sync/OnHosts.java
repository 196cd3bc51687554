package dev.kindling.job.sync;

/**
 * When the sums of a step's tasks are added on their hosts before they leave them ({@link
 * HostSums}).
 *
 * @param worth bytes of a step that must stay on the hosts for it
 */
public record OnHosts(long worth) {
  /**
   * Whether it is worth it.
   *
   * @param trainables of a sum
   * @param tasks of a step
   * @param hosts that they are on
   */
  public boolean pays(long trainables, int tasks, int hosts) {
    return Long.BYTES * trainables * (tasks - hosts) >= worth;
  }
}
