package dev.kindling.job.storage;

import java.io.IOException;

/** What was to be kept could not be written or read back. */
public final class StorageFailed extends RuntimeException {
  private static final long serialVersionUID = 1;

  /**
   * @param what the folder
   */
  public StorageFailed(String what, IOException cause) {
    super(
        what
            + ": "
            + cause.getMessage()
            + "; what was committed before is untouched: make room or mend the storage, then run the"
            + " same command again",
        cause);
  }
}
