package dev.kindling.job.resume;

import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.spark.util.SignalUtils;
import scala.runtime.AbstractFunction0;

/** Mutable: whether someone has asked this process to stop. */
public final class Stop {
  private final boolean signals;
  private final AtomicBoolean asked = new AtomicBoolean();
  private final AtomicReference<Runnable> hurry = new AtomicReference<>(() -> {});

  /**
   * @param signals whether {@link #listen} is to do anything: not in a process that others own
   */
  public Stop(boolean signals) {
    this.signals = signals;
  }

  /** Listens to SIGTERM, as schedulers send it, and SIGINT; a second one ends the process. */
  public void listen() {
    for (String signal : signals ? List.of("TERM", "INT") : List.<String>of()) {
      SignalUtils.register(
          signal,
          new AbstractFunction0<Object>() {
            @Override
            public Object apply() {
              return ask();
            }
          });
    }
  }

  /** What else to do when asked: to end what is under way. */
  public void hurry(Runnable action) {
    hurry.set(action);
    if (asked()) {
      action.run();
    }
  }

  /** Asks; returns whether nobody had before. */
  public boolean ask() {
    boolean first = asked.compareAndSet(false, true);
    if (first) {
      hurry.get().run();
    }
    return first;
  }

  public boolean asked() {
    return asked.get();
  }
}
