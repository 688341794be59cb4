"""UCF101: 13,320 user videos of 101 human actions, 320x240 at 25 frames a second."""

from latte_eval.benchmarks.catalogue import Benchmark, Layout

# In the order of sorted folder names, which is the label that a checkpoint knows a class by.
CLASS_NAMES = """
ApplyEyeMakeup ApplyLipstick Archery BabyCrawling BalanceBeam BandMarching BaseballPitch Basketball BasketballDunk
BenchPress Biking Billiards BlowDryHair BlowingCandles BodyWeightSquats Bowling BoxingPunchingBag BoxingSpeedBag
BreastStroke BrushingTeeth CleanAndJerk CliffDiving CricketBowling CricketShot CuttingInKitchen Diving Drumming
Fencing FieldHockeyPenalty FloorGymnastics FrisbeeCatch FrontCrawl GolfSwing Haircut HammerThrow Hammering
HandstandPushups HandstandWalking HeadMassage HighJump HorseRace HorseRiding HulaHoop IceDancing JavelinThrow
JugglingBalls JumpRope JumpingJack Kayaking Knitting LongJump Lunges MilitaryParade Mixing MoppingFloor Nunchucks
ParallelBars PizzaTossing PlayingCello PlayingDaf PlayingDhol PlayingFlute PlayingGuitar PlayingPiano PlayingSitar
PlayingTabla PlayingViolin PoleVault PommelHorse PullUps Punch PushUps Rafting RockClimbingIndoor RopeClimbing
Rowing SalsaSpin ShavingBeard Shotput SkateBoarding Skiing Skijet SkyDiving SoccerJuggling SoccerPenalty StillRings
SumoWrestling Surfing Swing TableTennisShot TaiChi TennisSwing ThrowDiscus TrampolineJumping Typing UnevenBars
VolleyballSpiking WalkingWithDog WallPushups WritingOnBoard YoYo
"""
CLASSES = tuple(CLASS_NAMES.split())

UCF101 = Benchmark(
    name="ucf101",
    title="UCF101",
    origin="crcv.ucf.edu/data/UCF101/UCF101.rar (avi files in class folders) and UCF101TrainTestSplits-*.zip",
    licence="no licence is stated by UCF; research use",
    # Latte follows StyleGAN-V, whose author computed UCF101 over both (universome/stylegan-v#30).
    real_split="train+test",
    stride=3,
    checkpoint="hf://maxin-cn/Latte/ucf101.pt",
    guidance_scale=7.0,
    classes=CLASSES,
    video_names=r"v_[A-Za-z]+_g\d+_c\d+",
    frame_size=(240, 320),
    expected={"train+test": 13320, "train": 9537, "test": 3783},
    layouts=(
        Layout(
            "split folders",
            ("{split}", "UCF-101/{split}", "UCF101/{split}", "ucf101/{split}"),
            "numbers that others measured against this split alone; the published rows take train and test",
        ),
        Layout(
            "release",
            ("UCF-101", "UCF101/UCF-101", "ucf101/UCF-101", "UCF101", "ucf101"),
            "the published rows under the latte protocol",
        ),
        Layout(
            "one folder",
            ("",),
            "the published rows, if the files are the released avi or frames made from them at their own rate",
        ),
    ),
    advice="Re-encoded or re-timed copies move the Inception Score of the real videos from about 97 to 60 and below. "
    "In a flat folder the first 2,048 files are the first 16 classes only: the stylegan-v protocol takes those.",
)
