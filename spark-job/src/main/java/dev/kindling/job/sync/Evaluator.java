package dev.kindling.job.sync;

import dev.kindling.InvalidInput;
import dev.kindling.data.EpochOrder;
import dev.kindling.data.TokenBatch;
import dev.kindling.job.broadcast.ModelSpec;
import dev.kindling.job.broadcast.WeightDelivery;
import dev.kindling.job.ingest.Batches;
import dev.kindling.job.ingest.Examples;
import dev.kindling.job.ingest.Tasks;
import dev.kindling.train.Totals;
import java.nio.ByteBuffer;
import java.util.OptionalDouble;
import org.apache.spark.broadcast.Broadcast;

/** Loss and accuracy over a whole data set, in micro-batches by example index, as one stage. */
public final class Evaluator implements AutoCloseable {
  /** Examples computed at once; part of the result only by rounding, so no setting. */
  private static final int MICRO_BATCH = 32;

  private final Cluster cluster;
  private final Examples examples;
  private final Batches batches;
  private final String name;

  /**
   * @param name what the data is called, for messages
   */
  public Evaluator(Cluster cluster, Examples examples, String name) {
    this.cluster = cluster;
    this.examples = examples;
    this.name = name;
    this.batches =
        Batches.lay(
            examples,
            new EpochOrder(examples.count(), false, 0),
            0,
            examples.count(),
            MICRO_BATCH,
            MICRO_BATCH,
            1);
  }
}
