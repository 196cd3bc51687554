package dev.kindling.job.broadcast;

import dev.kindling.lora.BaseChange;
import java.util.ArrayList;
import java.util.List;
import org.apache.spark.api.java.JavaSparkContext;

/**
 * Mutable, the driver's: the changes of a run's base that have been sent, so that none is twice.
 */
public final class SentChanges {
  private final List<BaseChange> changes = new ArrayList<>();
  private final List<SentChange> sent = new ArrayList<>();

  /** Of those that were sent since somebody asked. */
  private long news;

  /**
   * All of these as executors get them.
   *
   * @param all those of before, and perhaps more
   */
  public List<SentChange> of(JavaSparkContext spark, List<BaseChange> all) {
    for (int i = 0; i < all.size(); i++) {
      BaseChange change = all.get(i);
      if (i == changes.size()) {
        changes.add(change);
        news += (long) Float.BYTES * change.factors().length;
        sent.add(new SentChange(change.rank(), spark.broadcast(change.factors())));
      } else if (!changes.get(i).equals(change)) {
        throw new IllegalArgumentException("change " + i + " is another than was sent");
      }
    }
    return List.copyOf(sent.subList(0, all.size()));
  }

  /** Bytes that an executor has been sent since this was asked before. */
  public long takeNews() {
    long bytes = news;
    news = 0;
    return bytes;
  }
}
