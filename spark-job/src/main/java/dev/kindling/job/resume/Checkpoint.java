package dev.kindling.job.resume;

import com.fasterxml.jackson.databind.JsonNode;
import dev.kindling.cost.PairClock.Timed;
import dev.kindling.job.config.ConfigSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * A committed step and all that the rest of the run depends on, as {@code checkpoint.json} holds
 * it. The data position is {@code step · global batch}; randomness is a function of the seed, which
 * is part of the configuration.
 *
 * @param format of this file and those it names
 * @param step steps committed
 * @param examples of the training data
 * @param exponents of the fixed-point sums of the next step
 * @param config the settings that decide the result, by key
 * @param inputs what else decides it, by name: digests of base and data
 * @param numerics what its bits depend on besides, as the executors say
 * @param plans what was timed, if plans were chosen by measuring
 * @param before the evaluation before the first step; null if there was none
 * @param state SHA-256 of {@code state.safetensors}
 * @param history the metrics of all steps, in parts, the earliest first
 * @param changes what has been added to the base, one each, the earliest first
 */
public record Checkpoint(
    int format,
    long step,
    long examples,
    int[] exponents,
    Map<String, String> config,
    Map<String, String> inputs,
    String numerics,
    List<Timed> plans,
    @Nullable JsonNode before,
    String state,
    List<Part> history,
    List<Part> changes) {
  /** The format that is written. All up to it are read: 1 knows no changes. */
  public static final int FORMAT = 2;

  /** Of a file of format 1. */
  public Checkpoint {
    changes = changes == null ? List.of() : changes;
  }

  /**
   * Metrics of consecutive steps, or a change of the base.
   *
   * @param name of the file in {@code history} or {@code changes}
   */
  public record Part(String name, String sha256) {}

  /** The settings that a file names, by key. */
  public static Map<String, String> config(JsonNode node) {
    Map<String, String> config = new TreeMap<>();
    node.properties().forEach(e -> config.put(e.getKey(), e.getValue().asText()));
    return config;
  }

  /** What of {@code ours} differs from {@code theirs}, by key, for people. */
  public static List<String> differing(Map<String, String> theirs, Map<String, String> ours) {
    Map<String, String> left = new TreeMap<>(theirs);
    List<String> differing = new ArrayList<>();
    ours.forEach(
        (key, value) -> {
          String other = left.remove(key);
          boolean newer = other == null && ConfigSource.isDefault(key, value); // a key since then
          if (!value.equals(other) && !newer) {
            differing.add(key + " (" + other + " there, " + value + " here)");
          }
        });
    left.forEach((key, value) -> differing.add(key + " (" + value + " there)"));
    return differing;
  }

  /** Where a run stands before its first step. */
  public static Checkpoint first(
      long examples,
      Map<String, String> config,
      Map<String, String> inputs,
      List<Timed> plans,
      @Nullable JsonNode before) {
    return new Checkpoint(
        FORMAT,
        0,
        examples,
        new int[0],
        config,
        inputs,
        "",
        plans,
        before,
        "",
        List.of(),
        List.of());
  }

  /** The same run further on. */
  public Checkpoint at(long committed, int[] nextExponents, String said) {
    return new Checkpoint(
        FORMAT,
        committed,
        examples,
        nextExponents,
        config,
        inputs,
        said,
        plans,
        before,
        "",
        List.of(),
        List.of());
  }

  /** The same, naming what earlier ones have written of the run's course. */
  public Checkpoint after(List<Part> metrics, List<Part> ofBase) {
    return with(state, metrics, ofBase);
  }

  /** The same with its files named. */
  Checkpoint with(String stateSha256, List<Part> metrics, List<Part> ofBase) {
    return new Checkpoint(
        format,
        step,
        examples,
        exponents,
        config,
        inputs,
        numerics,
        plans,
        before,
        stateSha256,
        List.copyOf(metrics),
        List.copyOf(ofBase));
  }
}
