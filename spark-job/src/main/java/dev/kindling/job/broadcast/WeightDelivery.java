package dev.kindling.job.broadcast;

import dev.kindling.InvalidInput;
import dev.kindling.checkpoint.HfFolder;
import dev.kindling.checkpoint.WeightSlot;
import dev.kindling.job.storage.Location;
import dev.kindling.model.FrozenWeights;
import dev.kindling.tensor.StoredType;
import java.io.Serializable;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.SparkEnv;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.deploy.SparkHadoopUtil;
import org.apache.spark.storage.BlockManager;

/** How the frozen weights come to an executor. */
public sealed interface WeightDelivery extends Serializable {
  /** Feeds every piece of every slot to the loader. */
  void deliver(List<WeightSlot> slots, FrozenWeights.Loader loader);

  /** What is added to the weights once they are loaded, in order. */
  default List<SentChange> changes() {
    return List.of();
  }

  /** Bytes that the driver sends, and keeps for who comes later. */
  default long sent() {
    return 0;
  }

  /** Called after the first step: executors that took part have their copy. */
  void delivered();

  /**
   * Chooses: in local mode driver and executor are one JVM, which maps the files itself and so
   * holds one copy; otherwise the driver broadcasts.
   */
  static WeightDelivery of(JavaSparkContext spark, HfFolder base, List<WeightSlot> slots) {
    if (spark.isLocal()) {
      return new Mapped(base.folder().toString());
    }
    List<Piece> pieces = new ArrayList<>();
    AtomicLong sent = new AtomicLong();
    base.stream(
        slots,
        (slot, from, bytes, type) -> {
          byte[] copy = new byte[bytes.remaining()];
          bytes.get(copy);
          sent.addAndGet(copy.length);
          pieces.add(new Piece(slots.indexOf(slot), from, type, spark.broadcast(copy)));
        });
    return new Broadcasts(pieces, sent.get());
  }

  /** The same weights, changed since. */
  record Changed(WeightDelivery base, List<SentChange> changes) implements WeightDelivery {
    @Override
    public void deliver(List<WeightSlot> slots, FrozenWeights.Loader loader) {
      base.deliver(slots, loader);
    }

    @Override
    public long sent() {
      return base.sent();
    }

    @Override
    public void delivered() {
      base.delivered();
    }
  }

  /**
   * From storage that every executor reaches: a shared folder is mapped, what is remote is copied
   * to the executor's disk and goes once it is loaded.
   *
   * @param base a folder or URI
   * @param sha256 of what the driver planned with, {@link HfFolder#digest}
   */
  record Stored(String base, String sha256) implements WeightDelivery {
    @Override
    public void deliver(List<WeightSlot> slots, FrozenWeights.Loader loader) {
      Configuration hadoop = SparkHadoopUtil.get().newConfiguration(SparkEnv.get().conf());
      try (Location.Fetched fetched = new Location("base.path", base).fetch(hadoop)) {
        HfFolder folder = HfFolder.open(fetched.folder());
        String found = folder.digest(slots);
        if (!found.equals(sha256)) {
          throw new InvalidInput(
              "base.path " + base + " as executor " + SparkEnv.get().executorId() + " sees it",
              "has SHA-256 " + found,
              "expected " + sha256 + ", the driver's: do not change a base that is in use");
        }
        folder.stream(slots, loader::accept);
      }
    }

    @Override
    public void delivered() {
      // Nothing was kept.
    }
  }

  /**
   * From files that this JVM sees.
   *
   * @param folder of the base
   */
  record Mapped(String folder) implements WeightDelivery {
    @Override
    public void deliver(List<WeightSlot> slots, FrozenWeights.Loader loader) {
      HfFolder.open(Path.of(folder)).stream(slots, loader::accept);
    }

    @Override
    public void delivered() {
      // The page cache is nobody's heap.
    }
  }

  /**
   * A piece of a tensor.
   *
   * @param slot its place in the weight table
   * @param from its first element
   */
  record Piece(int slot, long from, StoredType type, Broadcast<byte[]> bytes)
      implements Serializable {}

  /**
   * From broadcasts of at most {@link HfFolder#CHUNK_BYTES} each: heap is needed for one piece at a
   * time, for it is copied off-heap at once. Until all are, Spark keeps what it has for other
   * executors, in its share of the heap and beyond that on disk; then they go, for the steps need
   * the heap. Plain bytes, because Spark closes broadcast values that can be closed, whoever still
   * uses them.
   */
  record Broadcasts(List<Piece> pieces, long sent) implements WeightDelivery {
    @Override
    public void deliver(List<WeightSlot> slots, FrozenWeights.Loader loader) {
      for (Piece piece : pieces) {
        loader.accept(
            slots.get(piece.slot), piece.from, ByteBuffer.wrap(piece.bytes.value()), piece.type);
      }
      if (!SparkEnv.get().executorId().equals("driver")) { // which keeps them for those that come
        BlockManager blocks = SparkEnv.get().blockManager();
        pieces.forEach(piece -> blocks.removeBroadcast(piece.bytes.id(), true));
      }
    }

    /** Frees the executors' heap; an executor that comes later fetches from the driver again. */
    @Override
    public void delivered() {
      pieces.forEach(piece -> piece.bytes.unpersist(false));
    }
  }
}
