package dev.kindling.job.config;

/**
 * Where the result goes.
 *
 * @param checkpointEvery steps from one checkpoint to the next
 * @param checkpointKeep checkpoints that are kept
 */
public record Output(String folder, Mode mode, int checkpointEvery, int checkpointKeep) {
  /** What to do with an output folder that exists. */
  public enum Mode {
    RESUME,
    OVERWRITE,
    REQUIRE_RESUME,
    FAIL_IF_EXISTS
  }
}
