package dev.kindling.job.gpu;

import dev.kindling.job.config.ConfigProblems;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Mutable: which executor of a run computes on which GPU, as far as they have said so. */
public final class Fleet {
  private static final Logger LOG = LoggerFactory.getLogger(Fleet.class);

  /** Executors by the UUID of the device. */
  private final Map<String, String> owners = new TreeMap<>();

  private long leastBytes;

  /**
   * Takes what the task slots of a fresh cluster say, and refuses a run that would not do what was
   * asked for.
   *
   * @param backend as {@code compute.backend} spells it
   * @param allowMixed whether executors without a GPU may compute on the CPU
   * @param alive asks for the executors that live now
   */
  public void judge(List<TaskSlot> slots, String backend, boolean allowMixed, Set<String> alive) {
    Set<String> without =
        slots.stream()
            .filter(slot -> !slot.gpu())
            .map(TaskSlot::told)
            .collect(Collectors.toCollection(TreeSet::new));
    boolean none = slots.stream().noneMatch(TaskSlot::gpu);
    if (none) {
      throw new ConfigProblems(
          List.of(
              "compute.backend = "
                  + backend
                  + ", and there is no GPU to use ("
                  + String.join("; ", without)
                  + "): mend that, or set compute.backend = auto, which computes on the CPU"));
    }
    if (!without.isEmpty() && !allowMixed) {
      throw new ConfigProblems(
          List.of(
              "some executors have a GPU and others have not ("
                  + String.join("; ", without)
                  + "), so the result would depend on who computes what: use machines of one kind,"
                  + " or set compute.allow-mixed = true, and these compute on the CPU"));
    }
    Map<String, TreeSet<String>> devices = new TreeMap<>();
    for (TaskSlot slot : slots) {
      if (slot.gpu()) {
        devices.computeIfAbsent(slot.executor(), e -> new TreeSet<>()).add(slot.uuid());
      }
    }
    leastBytes = slots.stream().filter(TaskSlot::gpu).mapToLong(TaskSlot::bytes).min().orElse(0);
    see(devices, alive);
  }

  /**
   * Refuses to time plans where there is nothing to time them on.
   *
   * @param measures whether plans are to be timed
   * @return why there is nothing; empty if there is
   */
  public static Optional<String> requireClock(List<TaskSlot> slots, boolean measures) {
    if (slots.stream().anyMatch(TaskSlot::gpu)) {
      return Optional.empty();
    }
    String why = slots.stream().map(TaskSlot::told).distinct().collect(Collectors.joining("; "));
    if (measures) {
      throw new ConfigProblems(
          List.of(
              "plan.chooser = measured, and there is no GPU here to time plans on ("
                  + why
                  + "): ask on the cluster, or with plan.chooser = flops"));
    }
    return Optional.of(why);
  }

  /** Bytes of the smallest device; 0 if unknown. */
  public long leastBytes() {
    return leastBytes;
  }

  /**
   * Takes note of who computes on what.
   *
   * @param devices UUIDs by executor
   * @param alive executors that live now: one that is gone has left its device to others
   * @throws ConfigProblems if two of them share a device
   */
  public void see(Map<String, ? extends Set<String>> devices, Set<String> alive) {
    List<String> shared = new ArrayList<>();
    devices.forEach(
        (executor, uuids) -> {
          for (String uuid : uuids) {
            String before = owners.put(uuid, executor);
            if (executor.equals(before)) {
              continue;
            }
            if (before != null && alive.contains(before) && alive.contains(executor)) {
              shared.add("executors " + before + " and " + executor + " on " + uuid);
            } else {
              LOG.info("executor {} computes on {}", executor, uuid);
            }
          }
        });
    if (!shared.isEmpty()) {
      throw new ConfigProblems(
          List.of(
              "executors share a GPU ("
                  + String.join("; ", shared)
                  + "), each with weights of its own: give each worker devices of its own, by"
                  + " CUDA_VISIBLE_DEVICES or by its discovery script, or run one worker on each"
                  + " machine"));
    }
  }

  /** Executors by the UUID of their device. */
  public Map<String, String> owners() {
    return Map.copyOf(owners);
  }
}
