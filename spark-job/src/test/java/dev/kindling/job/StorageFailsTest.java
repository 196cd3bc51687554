package dev.kindling.job;

import static dev.kindling.job.cli.InProcess.kindling;
import static org.assertj.core.api.Assertions.assertThat;

import dev.kindling.job.cli.InProcess;
import java.nio.file.Path;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.hdfs.DistributedFileSystem;
import org.apache.hadoop.hdfs.MiniDFSCluster;
import org.apache.hadoop.hdfs.protocol.HdfsConstants;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Storage that is full, by a quota of a real HDFS: the run ends by name, and goes on with room. */
class StorageFailsTest {
  private static final long BLOCK = 1 << 20;

  @TempDir Path temp;

  @BeforeEach
  void smallBlocks() {
    System.setProperty("spark.hadoop.dfs.blocksize", Long.toString(BLOCK));
    System.setProperty("spark.hadoop.dfs.replication", "1");
  }

  @AfterEach
  void asBefore() {
    System.clearProperty("spark.hadoop.dfs.blocksize");
    System.clearProperty("spark.hadoop.dfs.replication");
  }

  @Test
  void train_outputIsFull_endsWithSixAndGoesOnWithRoom() throws Exception {
    GoldenFolder bert = GoldenFolder.copy("bert", temp);
    String[] settings = {"train.steps=12", "checkpoint.every-steps=2", "adapter.dropout=0.1"};
    Path whole = temp.resolve("whole");
    assertThat(kindling(1, bert.train(whole, settings)).code()).isZero();
    Configuration conf = new Configuration();
    conf.set(MiniDFSCluster.HDFS_MINIDFS_BASEDIR, temp.resolve("dfs").toString());
    conf.setLong("dfs.blocksize", BLOCK);
    try (MiniDFSCluster cluster = new MiniDFSCluster.Builder(conf).numDataNodes(1).build()) {
      DistributedFileSystem hdfs = cluster.getFileSystem();
      org.apache.hadoop.fs.Path room = new org.apache.hadoop.fs.Path("/room");
      hdfs.mkdirs(room);
      // The open metrics take a block, and so does each file while it is written.
      hdfs.setQuota(room, HdfsConstants.QUOTA_DONT_SET, 2 * BLOCK + BLOCK / 32);
      List<String> train = bert.train(Path.of("replaced below"), settings);
      train.add("output=" + hdfs.getUri() + "/room/out");
      InProcess full = kindling(2, train);
      assertThat(full.code()).as(full.stdout()).isEqualTo(6);
      assertThat(full.messages()).contains("/room/out", "quota", "run the same command again");
      assertThat(hdfs.exists(new org.apache.hadoop.fs.Path("/room/out/_SUCCESS"))).isFalse();
      assertThat(hdfs.exists(new org.apache.hadoop.fs.Path("/room/out/checkpoints"))).isTrue();

      hdfs.setQuota(room, HdfsConstants.QUOTA_DONT_SET, HdfsConstants.QUOTA_RESET);
      InProcess again = kindling(2, train);
      assertThat(again.code()).as(again.stdout()).isZero();
      Path out = temp.resolve("out");
      hdfs.copyToLocalFile(
          new org.apache.hadoop.fs.Path("/room/out"),
          new org.apache.hadoop.fs.Path(out.toString()));
      String adapter = "adapter/adapter_model.safetensors";
      assertThat(out.resolve(adapter)).hasSameBinaryContentAs(whole.resolve(adapter));
      assertThat(GoldenFolder.losses(out)).isEqualTo(GoldenFolder.losses(whole)).hasSize(12);
    }
  }
}
