package dev.kindling.job.config;

import dev.kindling.tensor.Storage;

/**
 * The frozen model.
 *
 * @param storage how its matrices are kept
 * @param said whether the user or the method says so; else the notes of an adapter may
 */
public record Base(String path, Storage storage, boolean said, Delivery delivery) {
  /** How the frozen weights come to executors. */
  public enum Delivery {
    BROADCAST,
    STORAGE
  }
}
