"""UCF101: 13,320 user videos of 101 human actions, 320x240 at 25 frames a second."""

from latte_eval.benchmarks.dataset import Copy, Dataset, Layout

# In the order of sorted folder names: the label of a class in a checkpoint is its position here.
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

UCF101 = Dataset(
    name="ucf101",
    title="UCF101",
    origin="crcv.ucf.edu/data/UCF101/UCF101.rar (avi files in class folders) and UCF101TrainTestSplits-*.zip",
    licence="no licence is stated by UCF; research use",
    # Latte follows StyleGAN-V, whose author computed UCF101 over both splits (universome/stylegan-v#30).
    real_split="train+test",
    stride=3,
    checkpoint="hf://maxin-cn/Latte/ucf101.pt",
    guidance_scale=7.0,
    classes=CLASSES,
    video_names=r"v_[A-Za-z]+_g\d+_c\d+",
    copies={
        (320, 240): Copy("the release, 320x240", "the published rows, protocol latte"),
        (256, 256): Copy(
            "frames at 256x256, as the converters of Latte and StyleGAN-V write them",
            "the published rows, protocol latte, if the frames were taken at their own rate",
        ),
        (128, 128): Copy("128x128, as DIGAN and TATS used it", "numbers at 128x128; the published rows are at 256x256"),
    },
    folder_names=("ucf101", "UCF101", "UCF-101"),
    expected={"train+test": 13320, "train": 9537, "test": 3783},
    layouts=(
        Layout("split folders", ("{split}", "UCF-101/{split}", "UCF101/{split}", "ucf101/{split}")),
        Layout("release, class folders", ("UCF-101", "UCF101/UCF-101", "ucf101/UCF-101", "UCF101", "ucf101")),
        Layout("one folder", ("",)),
    ),
    advice="Re-encoded or re-timed copies move the Inception Score of the real videos from about 97 to 60 and below. "
    "The first 2,048 videos in sorted order are the first 16 classes only: the stylegan-v protocol takes those.",
)
