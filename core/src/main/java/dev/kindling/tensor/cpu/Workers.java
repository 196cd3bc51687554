package dev.kindling.tensor.cpu;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/**
 * Mutable: the threads of one backend, for work that falls into pieces which do not touch each
 * other's results. Pieces go to whoever is free, so that a core which others use as well holds
 * nobody up; therefore a piece may depend on nothing but its number.
 *
 * <p>With one thread the caller does everything; else it waits for threads that are started with
 * the first work.
 */
public final class Workers implements AutoCloseable {
  /** Rows of a piece: some tens of microseconds. */
  private static final int ROWS = 64;

  private final int count;
  private final ExecutorService threads;

  /**
   * @param count at least 1
   */
  public Workers(int count) {
    this.count = count;
    this.threads =
        Executors.newFixedThreadPool(
            count,
            work -> {
              Thread thread = new Thread(work, "kindling-worker");
              thread.setDaemon(true);
              return thread;
            });
  }

  /** One piece of work. */
  @FunctionalInterface
  public interface Piece {
    /**
     * Does it.
     *
     * @param worker from 0 to {@link #count}, exclusive: whose scratch may be used
     * @param piece its number
     */
    void run(int worker, int piece);
  }

  /** How many work at once. */
  public int count() {
    return count;
  }

  /** Runs pieces 0 to {@code pieces}, exclusive, and waits until all are done. */
  public void each(int pieces, Piece work) {
    if (count == 1 || pieces == 1) {
      for (int piece = 0; piece < pieces; piece++) {
        work.run(0, piece);
      }
      return;
    }
    AtomicInteger next = new AtomicInteger();
    List<Future<?>> running = new ArrayList<>();
    for (int w = 0; w < Math.min(count, pieces); w++) {
      int worker = w;
      running.add(
          threads.submit(
              () -> {
                for (int i = next.getAndIncrement(); i < pieces; i = next.getAndIncrement()) {
                  work.run(worker, i);
                }
              }));
    }
    Throwable failure = null;
    for (Future<?> one : running) { // all of them: native memory is in use until they are done
      Throwable failed = await(one);
      failure = failure == null ? failed : failure;
    }
    if (failure != null) {
      throw new IllegalStateException("a worker failed", failure);
    }
  }

  /** Runs each of {@code rows} rows, which cost too little to be handed out one by one. */
  public void eachRow(int rows, Piece work) {
    int pieces = (rows + ROWS - 1) / ROWS;
    each(
        pieces,
        (worker, piece) -> {
          for (int row = piece * ROWS; row < Math.min(rows, (piece + 1) * ROWS); row++) {
            work.run(worker, row);
          }
        });
  }

  /** Waits even where the caller is interrupted; returns why the work failed, or null. */
  private static @Nullable Throwable await(Future<?> work) {
    boolean interrupted = false;
    try {
      while (true) {
        try {
          work.get();
          return null;
        } catch (InterruptedException e) {
          interrupted = true;
        } catch (ExecutionException e) {
          return e.getCause();
        }
      }
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  @Override
  public void close() {
    threads.shutdown();
  }
}
