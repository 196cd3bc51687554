package dev.kindling.tensor.load;

import java.io.Serializable;

/** What a task computes on. */
public sealed interface Device extends Serializable {
  /**
   * The processor of the machine.
   *
   * @param why no GPU, where one was wanted; empty where none was
   */
  record Cpu(String why) implements Device {}

  /**
   * One GPU.
   *
   * @param address as Spark's discovery names it: an index among the devices that this process
   *     sees, or a UUID
   * @param uuid the driver's own name for it, the same on every machine and in every process
   * @param model what people call it
   * @param bytes of its memory
   */
  record Gpu(String address, String uuid, String model, long bytes) implements Device {}

  /** Where nobody asked for a GPU. */
  Device CPU = new Cpu("");
}
