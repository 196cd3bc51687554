package dev.kindling.job;

import dev.kindling.job.resume.Stop;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerJobStart;

/**
 * Asks a run to stop when a step of it begins: registered by its name in {@code
 * spark.extraListeners}.
 */
public final class StopAtStep extends SparkListener {
  private record Order(Stop stop, long step) {}

  private static final AtomicReference<Order> ORDER = new AtomicReference<>();

  /** The next run is asked once it begins the given step, from 1. */
  static Stop at(long step) {
    Stop stop = new Stop(false);
    ORDER.set(new Order(stop, step));
    return stop;
  }

  @Override
  public void onJobStart(SparkListenerJobStart job) {
    Order order = ORDER.get();
    String description = job.properties().getProperty("spark.job.description", "");
    if (order != null && description.matches("steps? " + order.step + "( to .*)?")) {
      order.stop.ask();
    }
  }
}
